#include "train/comparison/comparison.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "train/beyond.h"
#include "train/comparison/model_tree.h"
#include "train/comparison/section_reader.h"
#include "train/configuration/overrides.h"
#include "train/configuration/settings_of_tree.h"
#include "train/configuration/unknown_key.h"
#include "train/error.h"

namespace locus {

namespace {

/// The parts of a block, or the common ones, as they stand in the file; nullptr: not given.
struct Parts {
    const YamlNode *base = nullptr, *runs = nullptr, *evaluate = nullptr;
    std::vector<std::int64_t> seeds;
    std::int64_t minimum_steps = -1;
};

/// Reads a comparison; mistakes are told at their places, all at once.
class ComparisonReader {
public:
    ComparisonReader(std::string file, Mistakes& mistakes) : file_(std::move(file)), mistakes_(mistakes) {}

    Comparison read(const YamlNode& root) {
        Comparison comparison;
        comparison.name = std::filesystem::path(file_).stem().string();
        const YamlNode *compare = nullptr, *blocks = nullptr;
        Parts common;
        read_keys(root, "",
                  {{"compare", take_node(compare)},
                   {"base", take_node(common.base)},
                   {"runs", take_node(common.runs)},
                   {"evaluate", take_node(common.evaluate)},
                   {"blocks", take_node(blocks)}},
                  mistakes_);
        if (compare != nullptr) read_compare(*compare, comparison, common);
        check_name("compare.name", comparison.name, compare != nullptr ? compare->place : root.place);
        if (common.base != nullptr) check_base(*common.base, mistakes_);
        if (blocks == nullptr) {
            add_block("all", root.place, common, comparison);
        } else {
            read_blocks(*blocks, common, comparison);
        }
        tell_settings_mistakes();
        return comparison;
    }

private:
    void read_compare(const YamlNode& node, Comparison& comparison, Parts& common) {
        read_keys(node, "compare",
                  {{"name", take_text(comparison.name)},
                   {"directory", take_text(comparison.directory)},
                   {"seeds", take_integers(common.seeds, 0)},
                   {"jobs", take_integer(comparison.jobs, 0)},
                   {"minimum_steps", take_integer(common.minimum_steps, 1)}},
                  mistakes_);
    }

    void read_blocks(const YamlNode& node, const Parts& common, Comparison& comparison) {
        if (node.kind != YamlNode::Kind::mapping || node.entries.empty())
            return mistakes_.add(node.place, "blocks: expects at least one block (name: {base: ..., runs: ...})");
        for (const YamlEntry& entry : node.entries) {
            const std::string path = "blocks." + entry.key;
            check_name(path, entry.key, entry.place);
            Parts own;
            read_keys(entry.value, path,
                      {{"base", take_node(own.base)},
                       {"runs", take_node(own.runs)},
                       {"evaluate", take_node(own.evaluate)},
                       {"seeds", take_integers(own.seeds, 0)},
                       {"minimum_steps", take_integer(own.minimum_steps, 1)}},
                      mistakes_);
            add_block(entry.key, entry.place, with_common(own, common), comparison);
        }
    }

    /// The block's own parts, and the common ones where it has none; its base is laid over the common one.
    Parts with_common(Parts own, const Parts& common) {
        if (own.base != nullptr) check_base(*own.base, mistakes_);
        if (own.base != nullptr && common.base != nullptr) {
            merged_.push_back(std::make_unique<YamlNode>(laid_over(*common.base, *own.base)));
            own.base = merged_.back().get();
        } else if (own.base == nullptr) {
            own.base = common.base;
        }
        if (own.runs != nullptr && own.runs->kind == YamlNode::Kind::scalar) own.runs = runs_of_block(*own.runs);
        if (own.runs == nullptr) own.runs = common.runs;
        if (own.evaluate == nullptr) own.evaluate = common.evaluate;
        if (own.seeds.empty()) own.seeds = common.seeds;
        if (own.minimum_steps < 0) own.minimum_steps = common.minimum_steps;
        return own;
    }

    /// The runs of an earlier block, where a block names it instead of listing them.
    const YamlNode* runs_of_block(const YamlNode& name) {
        const auto found = runs_of_blocks_.find(name.text);
        if (found != runs_of_blocks_.end()) return found->second;
        std::vector<std::string> known;
        for (const auto& [block, runs] : runs_of_blocks_) known.push_back(block);
        mistakes_.add(name.place,
                      fmt::format("runs: there is no earlier block \"{}\"; {}", name.text, known_names(known)));
        return nullptr;
    }

    void add_block(const std::string& name, const Place& place, const Parts& parts, Comparison& comparison) {
        runs_of_blocks_[name] = parts.runs;
        ComparisonBlock block;
        block.name = name;
        block.seeds = parts.seeds.empty() ? std::vector<std::int64_t>{1} : parts.seeds;
        const bool any = parts.runs != nullptr && parts.runs->kind == YamlNode::Kind::mapping;
        if (!any || parts.runs->entries.empty())
            return mistakes_.add(parts.runs != nullptr ? parts.runs->place : place,
                                 "runs: expects what is compared, by name (rope: {model: {position: rope}})");
        for (const YamlEntry& run : parts.runs->entries) add_model(run, parts.base, comparison, block);
        if (block.models.size() != parts.runs->entries.size()) return;  // mistakes were found
        constexpr std::int64_t few = 100;
        const std::int64_t least = parts.minimum_steps < 0 ? few : parts.minimum_steps;
        block.minimum_steps = std::min(least, block.shared().train.steps);
        if (parts.evaluate != nullptr) read_evaluation(*parts.evaluate, block);
        comparison.blocks.push_back(std::move(block));
    }

    void add_model(const YamlEntry& run, const YamlNode* base, const Comparison& earlier, ComparisonBlock& block) {
        const std::string path = "runs." + run.key;
        check_name(path, run.key, run.place);
        YamlNode differs = run.value;
        const std::string init_from = take_init_from(differs, path, earlier, block);
        check_what_differs(differs, path, mistakes_);
        YamlNode tree = base == nullptr ? differs : *base;
        if (base != nullptr && differs.kind != YamlNode::Kind::null) tree = laid_over(*base, differs);
        try {
            Mistakes of_settings;
            block.models.push_back({run.key, settings_of_tree(tree, file_, of_settings), init_from});
        } catch (const ConfigurationError& error) {
            settings_mistakes_.push_back(error.what());
        }
    }

    /// Takes the key out of a run. Its value names a run of an earlier block that has all seeds of this one.
    std::string take_init_from(YamlNode& run, const std::string& path, const Comparison& earlier,
                               const ComparisonBlock& block) {
        const auto is_key = [](const YamlEntry& entry) { return entry.key == "init_from"; };
        const auto entry = std::find_if(run.entries.begin(), run.entries.end(), is_key);
        if (entry == run.entries.end()) return {};
        const std::string name = entry->value.text;
        const Place place = entry->value.place;
        run.entries.erase(entry);
        std::vector<std::string> known;
        for (const ComparisonBlock& other : earlier.blocks) {
            const bool has_seeds = std::all_of(block.seeds.begin(), block.seeds.end(), [&](std::int64_t seed) {
                return std::find(other.seeds.begin(), other.seeds.end(), seed) != other.seeds.end();
            });
            for (const ComparedModel& model : other.models)
                if (has_seeds) known.push_back(other.name + "/" + model.name);
        }
        if (std::find(known.begin(), known.end(), name) == known.end())
            mistakes_.add(place, fmt::format("{}.init_from: \"{}\" is not block/run of an earlier block with the seeds "
                                             "of this one; {}",
                                             path, name, known_names(known)));
        return name;
    }

    void read_evaluation(const YamlNode& node, ComparisonBlock& block) {
        EvaluationSettings& evaluate = block.evaluate;
        constexpr std::int64_t shortest = 8;
        std::vector<SectionKey> keys = {{"lengths", take_integers(evaluate.lengths, shortest)},
                                        {"samples", take_integer(evaluate.samples, 0)}};
        if (!block.is_probe()) {
            const std::vector<SectionKey> of_text = {{"text", take_texts(evaluate.text)},
                                                     {"schemes", take_texts(evaluate.schemes, {"chunked", "centred"})},
                                                     {"beyond", take_texts(evaluate.beyond)},
                                                     {"boundary", take_text(evaluate.boundary, {"none", "cls_sep"})},
                                                     {"mask_probability", take_number(evaluate.mask_probability, 0, 1)},
                                                     {"seed", take_seed(evaluate.seed)},
                                                     {"window", take_integer(evaluate.window, 1)},
                                                     {"shift", take_integer(evaluate.shift, 1)},
                                                     {"logn", take_flag(evaluate.logn)}};
            keys.insert(keys.end(), of_text.begin(), of_text.end());
        }
        read_keys(node, block.name + ".evaluate", keys, mistakes_);
        check_lengths(node.place, block);
    }

    /// What would otherwise be found after training.
    void check_lengths(const Place& place, const ComparisonBlock& block) {
        const std::vector<std::int64_t>& lengths = block.evaluate.lengths;
        if (lengths.empty()) {
            if (!block.is_probe())
                mistakes_.add(place, fmt::format("{}.evaluate: needs lengths, as in [64, 128, 256]", block.name));
            return;
        }
        const std::int64_t longest = *std::max_element(lengths.begin(), lengths.end());
        for (const std::int64_t length : lengths)
            if (!block.is_probe() && longest % length != 0)
                mistakes_.add(place, fmt::format("{}.evaluate.lengths: {} does not divide the longest, {}", block.name,
                                                 length, longest));
        for (const ComparedModel& model : block.models) {
            const ModelSettings& settings = model.settings.model;
            const std::int64_t limit = longest_sequence(settings);
            const bool has_policies = !block.is_probe() && !beyond_policies(settings).empty();
            if (limit > 0 && longest > limit && !has_policies)
                mistakes_.add(place, fmt::format("{}.evaluate.lengths: {} takes {} tokens at most (model.max_length, "
                                                 "and what model.position says about `beyond`)",
                                                 block.name, model.name, limit));
        }
        check_policies(place, block);
    }

    void check_policies(const Place& place, const ComparisonBlock& block) {
        for (const std::string& policy : block.evaluate.beyond) {
            const bool known = std::any_of(block.models.begin(), block.models.end(), [&](const ComparedModel& model) {
                const std::vector<std::string> policies = beyond_policies(model.settings.model);
                return std::find(policies.begin(), policies.end(), policy) != policies.end();
            });
            if (!known)
                mistakes_.add(place, fmt::format("{}.evaluate.beyond: no run of the block has a table that knows {}",
                                                 block.name, policy));
        }
    }

    /// Names become folders and cells of CSV files.
    void check_name(const std::string& path, const std::string& name, const Place& place) {
        constexpr const char* plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+.";
        if (!name.empty() && name[0] != '.' && name.find_first_not_of(plain) == std::string::npos) return;
        mistakes_.add(place, fmt::format("{}: \"{}\" cannot name a folder and a cell of a table; use letters, digits, "
                                         "_, -, + and .",
                                         path, name));
    }

    /// A mistake in a base is found in each of its runs, and told once.
    void tell_settings_mistakes() {
        mistakes_.raise();
        std::set<std::string> told;
        std::string text;
        for (const std::string& mistakes : settings_mistakes_) {
            for (std::size_t begin = 0; begin < mistakes.size();) {
                const std::size_t end = std::min(mistakes.find('\n', begin), mistakes.size());
                const std::string line = mistakes.substr(begin, end - begin);
                if (told.insert(line).second) text += (text.empty() ? "" : "\n") + line;
                begin = end + 1;
            }
        }
        if (!text.empty()) throw ConfigurationError(text);
    }

    std::string file_;
    Mistakes& mistakes_;
    std::vector<std::unique_ptr<YamlNode>> merged_;
    std::map<std::string, const YamlNode*> runs_of_blocks_;
    std::vector<std::string> settings_mistakes_;
};

}  // namespace

std::int64_t ComparisonBlock::tokens_per_step() const {
    const Settings& settings = shared();
    return settings.train.batch_size * settings.train.gradient_accumulation * settings.data.sequence_length;
}

Comparison parse_comparison(const std::string& yaml, const std::string& name,
                            const std::vector<std::string>& overrides) {
    Mistakes mistakes;
    YamlNode root = parse_yaml(yaml, name, mistakes);
    mistakes.raise();
    if (root.kind != YamlNode::Kind::mapping) {
        mistakes.add(root.place, "a comparison needs at least base and runs");
        mistakes.raise();
    }
    apply_overrides(overrides, root, mistakes);
    mistakes.raise();
    return ComparisonReader(name, mistakes).read(root);
}

Comparison read_comparison(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
    return parse_comparison(read_configuration_file(file), file.string(), overrides);
}

}  // namespace locus
