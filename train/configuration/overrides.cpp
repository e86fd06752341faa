#include "train/configuration/overrides.h"

#include <utility>

#include <fmt/format.h>

namespace locus {

namespace {

YamlEntry& child(YamlNode& mapping, const std::string& key, const Place& place) {
    for (YamlEntry& entry : mapping.entries) {
        if (entry.key == key) return entry;
    }
    mapping.entries.push_back({key, place, {}});
    mapping.entries.back().value.place = place;
    return mapping.entries.back();
}

/// The key that a plain name stands for: `position: absolute` is `position: {encoding: absolute}`. Empty: it stands for none.
std::string key_of_name(const std::string& path) {
    if (path == "model.position") return "encoding";
    return path == "data.probe" ? "name" : "";
}

/// Makes a mapping of a value that is left out, and of a plain name, whose options may be overridden too.
bool become_mapping(YamlNode& node, const std::string& path) {
    if (node.kind == YamlNode::Kind::null) node.kind = YamlNode::Kind::mapping;
    if (node.kind == YamlNode::Kind::scalar && !key_of_name(path).empty()) {
        YamlNode name = std::move(node);
        node = YamlNode();
        node.kind = YamlNode::Kind::mapping;
        node.place = name.place;
        const Place place = name.place;
        node.entries.push_back({key_of_name(path), place, std::move(name)});
    }
    return node.kind == YamlNode::Kind::mapping;
}

void apply(const std::string& path, YamlNode value, YamlNode& root, const Place& place, Mistakes& mistakes) {
    YamlNode* node = &root;
    std::size_t begin = 0;
    while (true) {
        const std::string above = begin == 0 ? std::string() : path.substr(0, begin - 1);
        if (!become_mapping(*node, above)) {
            mistakes.add(place, fmt::format("{} is {} and has no keys below it",
                                            above.empty() ? "the configuration" : above, node->kind_name()));
            return;
        }
        const std::size_t dot = path.find('.', begin);
        const std::size_t length = dot == std::string::npos ? dot : dot - begin;
        const std::string name = path.substr(begin, length);
        YamlEntry& entry = child(*node, name, place);
        if (dot == std::string::npos) {
            entry.place = place;
            entry.value = std::move(value);
            return;
        }
        node = &entry.value;
        begin = dot + 1;
    }
}

}  // namespace

void apply_overrides(const std::vector<std::string>& overrides, YamlNode& root, Mistakes& mistakes) {
    for (const std::string& override_text : overrides) {
        const Place place{"--set " + override_text, 0, 0};
        const std::size_t equals = override_text.find('=');
        if (equals == std::string::npos || equals == 0) {
            mistakes.add(place, "expects key=value, as in --set train.steps=100");
            continue;
        }
        YamlNode value = parse_override_value(override_text.substr(equals + 1), place, mistakes);
        apply(override_text.substr(0, equals), std::move(value), root, place, mistakes);
    }
}

}  // namespace locus
