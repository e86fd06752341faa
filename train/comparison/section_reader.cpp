#include "train/comparison/section_reader.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "train/configuration/nearest_name.h"
#include "train/configuration/unknown_key.h"
#include "train/configuration/values.h"

namespace locus {

namespace {

std::string wrong_kind(const YamlNode& node, const char* expected) {
    return fmt::format("expects {}, not {}", expected, node.kind_name());
}

std::string read_integer(const YamlNode& node, std::int64_t lowest, std::int64_t& value) {
    if (node.kind != YamlNode::Kind::scalar) return wrong_kind(node, "a whole number");
    const Parsed<std::int64_t> parsed = parse_integer(node.text);
    if (!parsed) return parsed.error;
    if (parsed.value < lowest) return fmt::format("must be at least {}, not {}", lowest, parsed.value);
    value = parsed.value;
    return {};
}

std::string check_choice(const std::string& text, const std::vector<std::string>& choices) {
    if (choices.empty() || std::find(choices.begin(), choices.end(), text) != choices.end()) return {};
    const std::string nearest = nearest_name(text, choices);
    return nearest.empty() ? fmt::format("does not know \"{}\"; {}", text, known_names(choices))
                           : fmt::format("does not know \"{}\"; did you mean {}?", text, nearest);
}

/// The items of a list; a single value is a list of one.
std::vector<YamlNode> items_of(const YamlNode& node) {
    return node.kind == YamlNode::Kind::sequence ? node.items : std::vector<YamlNode>{node};
}

std::string explain_unknown(const std::string& name, const std::vector<SectionKey>& keys) {
    std::vector<std::string> names;
    names.reserve(keys.size());
    for (const SectionKey& key : keys) names.push_back(key.name);
    const std::string nearest = nearest_name(name, names);
    return nearest.empty() ? fmt::format("there is no such key here; {}", known_names(names))
                           : fmt::format("there is no such key here; did you mean {}?", nearest);
}

}  // namespace

void read_keys(const YamlNode& node, const std::string& path, const std::vector<SectionKey>& keys, Mistakes& mistakes) {
    if (node.kind == YamlNode::Kind::null) return;
    const std::string prefix = path.empty() ? path : path + ".";
    if (node.kind != YamlNode::Kind::mapping)
        return mistakes.add(node.place, fmt::format("{}expects keys and values (key: value), not {}",
                                                    path.empty() ? "a comparison " : path + ": ", node.kind_name()));
    for (const YamlEntry& entry : node.entries) {
        const auto found =
            std::find_if(keys.begin(), keys.end(), [&](const SectionKey& key) { return key.name == entry.key; });
        const std::string error = found == keys.end() ? explain_unknown(entry.key, keys) : found->take(entry.value);
        const Place& place = found == keys.end() ? entry.place : entry.value.place;
        if (!error.empty()) mistakes.add(place, fmt::format("{}{}: {}", prefix, entry.key, error));
    }
}

ValueTaker take_integer(std::int64_t& target, std::int64_t lowest) {
    return [&target, lowest](const YamlNode& node) { return read_integer(node, lowest, target); };
}

ValueTaker take_seed(std::uint32_t& target) {
    return [&target](const YamlNode& node) {
        std::int64_t value = 0;
        std::string error = read_integer(node, 0, value);
        if (error.empty() && value > std::numeric_limits<std::uint32_t>::max()) error = "must be below 2^32";
        if (error.empty()) target = static_cast<std::uint32_t>(value);
        return error;
    };
}

ValueTaker take_integers(std::vector<std::int64_t>& target, std::int64_t lowest) {
    return [&target, lowest](const YamlNode& node) -> std::string {
        target.clear();
        for (const YamlNode& item : items_of(node)) {
            std::int64_t value = 0;
            const std::string error = read_integer(item, lowest, value);
            if (!error.empty()) return error;
            if (std::find(target.begin(), target.end(), value) != target.end())
                return fmt::format("{} is given twice", value);
            target.push_back(value);
        }
        return target.empty() ? "the list is empty" : "";
    };
}

ValueTaker take_number(double& target, double above, double below) {
    return [&target, above, below](const YamlNode& node) {
        if (node.kind != YamlNode::Kind::scalar) return wrong_kind(node, "a number");
        const Parsed<double> parsed = parse_number(node.text);
        if (!parsed) return parsed.error;
        if (!(parsed.value > above && parsed.value < below))
            return fmt::format("must be above {} and below {}, not {}", above, below, parsed.value);
        target = parsed.value;
        return std::string();
    };
}

ValueTaker take_flag(bool& target) {
    return [&target](const YamlNode& node) {
        if (node.kind != YamlNode::Kind::scalar) return wrong_kind(node, "true or false");
        const Parsed<bool> parsed = parse_boolean(node.text);
        target = parsed.value;
        return parsed.error;
    };
}

ValueTaker take_text(std::string& target, std::vector<std::string> choices) {
    return [&target, choices = std::move(choices)](const YamlNode& node) {
        if (node.kind != YamlNode::Kind::scalar) return wrong_kind(node, "a text");
        target = expand_home(node.text);
        return check_choice(node.text, choices);
    };
}

ValueTaker take_texts(std::vector<std::string>& target, std::vector<std::string> choices) {
    return [&target, choices = std::move(choices)](const YamlNode& node) -> std::string {
        target.clear();
        for (const YamlNode& item : items_of(node)) {
            if (item.kind != YamlNode::Kind::scalar) return wrong_kind(item, "a text");
            const std::string error = check_choice(item.text, choices);
            if (!error.empty()) return error;
            target.push_back(expand_home(item.text));
        }
        return target.empty() ? "the list is empty" : "";
    };
}

ValueTaker take_node(const YamlNode*& target) {
    return [&target](const YamlNode& node) {
        target = &node;
        return std::string();
    };
}

}  // namespace locus
