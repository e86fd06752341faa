#include "train/comparison/model_tree.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace locus {

namespace {

const YamlEntry* find_entry(const YamlNode& node, const std::string& key) {
    const auto found =
        std::find_if(node.entries.begin(), node.entries.end(), [&](const YamlEntry& e) { return e.key == key; });
    return found == node.entries.end() ? nullptr : &*found;
}

/// Keys of a base that cannot be chosen there, and where they can.
struct DecidedKey {
    const char *section, *key, *remedy;
};
constexpr std::array<DecidedKey, 6> decided = {{
    {"run", "name", "the comparison names its runs; compare.name names the comparison"},
    {"run", "directory", "compare.directory says where the comparison lies"},
    {"run", "seed", "compare.seeds lists the seeds"},
    {"run", "threads", "each run has one thread; compare.jobs says how many runs work side by side"},
    {"train", "max_minutes", "runs that end by the clock see different numbers of tokens; --budget limits the time"},
    {"train", "early_stop", "runs that stop early see different numbers of tokens; remove it"},
}};

constexpr const char* only_model =
    "what is compared shares everything but model, train.optimizer and train.schedule; write it into base, or make a "
    "block of its own";

}  // namespace

YamlNode laid_over(const YamlNode& under, const YamlNode& over, const std::string& path) {
    const bool both = under.kind == YamlNode::Kind::mapping && over.kind == YamlNode::Kind::mapping;
    if (!both || path == "model.position" || path == "data.probe") return over;
    YamlNode merged = under;
    for (const YamlEntry& entry : over.entries) {
        YamlNode* const there = merged.find(entry.key);
        if (there == nullptr) {
            merged.entries.push_back(entry);
        } else {
            *there = laid_over(*there, entry.value, path.empty() ? entry.key : path + "." + entry.key);
        }
    }
    return merged;
}

void check_base(const YamlNode& base, Mistakes& mistakes) {
    for (const auto& [section, key, remedy] : decided) {
        const YamlEntry* const parent = find_entry(base, section);
        const YamlEntry* const entry = parent == nullptr ? nullptr : find_entry(parent->value, key);
        if (entry != nullptr) mistakes.add(entry->place, fmt::format("base.{}.{}: {}", section, key, remedy));
    }
}

void check_what_differs(const YamlNode& run, const std::string& path, Mistakes& mistakes) {
    for (const YamlEntry& section : run.entries) {
        if (section.key == "run" || section.key == "data")
            mistakes.add(section.place, fmt::format("{}.{}: {}", path, section.key, only_model));
        if (section.key != "train") continue;
        for (const YamlEntry& entry : section.value.entries)
            if (entry.key != "optimizer" && entry.key != "schedule")
                mistakes.add(entry.place, fmt::format("{}.train.{}: {}", path, entry.key, only_model));
    }
}

}  // namespace locus
