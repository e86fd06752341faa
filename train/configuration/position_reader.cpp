#include "train/configuration/position_reader.h"

#include <algorithm>
#include <set>
#include <string>

#include <fmt/format.h>

#include "model/position/position_encoding.h"
#include "train/configuration/nearest_name.h"
#include "train/configuration/unknown_key.h"
#include "train/configuration/values.h"

namespace locus {

namespace {

/// Keeps the value, or the reason why there is none.
template <class T>
std::string take(const Parsed<T>& parsed, OptionValue& value) {
    if (parsed) value = parsed.value;
    return parsed.error;
}

std::string take_text(const EncodingOption& option, const std::string& text, OptionValue& value) {
    const auto& choices = option.choices;
    if (!choices.empty() && std::find(choices.begin(), choices.end(), text) == choices.end()) {
        const std::vector<std::string> names(choices.begin(), choices.end());
        const std::string nearest = nearest_name(text, names);
        if (!nearest.empty()) return fmt::format("does not know \"{}\"; did you mean {}?", text, nearest);
        return fmt::format("does not know \"{}\"; {}", text, known_names(names));
    }
    value = text;
    return {};
}

/// Reads a text as the type that the option has. Returns the mistake, if any.
std::string read_option(const EncodingOption& option, const std::string& text, OptionValue& value) {
    if (std::holds_alternative<bool>(option.initial)) return take(parse_boolean(text), value);
    if (std::holds_alternative<std::int64_t>(option.initial)) return take(parse_integer(text), value);
    if (std::holds_alternative<double>(option.initial)) return take(parse_number(text), value);
    return take_text(option, text, value);
}

const EncodingEntry* known_encoding(const std::string& name, const Place& place, Mistakes& mistakes) {
    const EncodingEntry* entry = find_encoding(name);
    if (entry != nullptr) return entry;
    const std::vector<std::string> names = encoding_names();
    const std::string nearest = nearest_name(name, names);
    mistakes.add(place, fmt::format("model.position: no encoding is called \"{}\"; {}", name,
                                    nearest.empty() ? known_names(names) : fmt::format("did you mean {}?", nearest)));
    return nullptr;
}

/// A list for a text option is its items with bars between them, as in [c2p, p2c] for c2p|p2c; in the order of the choices.
bool join_list(const YamlNode& node, const EncodingOption& option, std::string& text) {
    if (node.kind != YamlNode::Kind::sequence || !std::holds_alternative<std::string>(option.initial)) return false;
    std::vector<std::string> items;
    for (const YamlNode& item : node.items) {
        if (item.kind != YamlNode::Kind::scalar) return false;
        items.push_back(item.text);
    }
    std::sort(items.begin(), items.end());
    do {
        text = fmt::format("{}", fmt::join(items, "|"));
        if (std::find(option.choices.begin(), option.choices.end(), text) != option.choices.end()) return true;
    } while (std::next_permutation(items.begin(), items.end()));
    if (items.empty()) text = "none";
    return true;
}

bool read_entry(const EncodingEntry& encoding, const YamlEntry& entry, PositionSettings& position, Mistakes& mistakes) {
    const std::string path = fmt::format("model.position.{}", entry.key);
    const auto option = std::find_if(encoding.options.begin(), encoding.options.end(),
                                     [&](const EncodingOption& candidate) { return candidate.name == entry.key; });
    if (option == encoding.options.end()) {
        mistakes.add(entry.place, fmt::format("{}: {}", path, explain_unknown_option(position.encoding, entry.key)));
        return false;
    }
    std::string text = entry.value.text;
    if (entry.value.kind != YamlNode::Kind::scalar && !join_list(entry.value, *option, text)) {
        mistakes.add(entry.value.place,
                     fmt::format("{}: expects a single value, not {}", path, entry.value.kind_name()));
        return false;
    }
    const std::string error = read_option(*option, text, position.options[entry.key]);
    if (error.empty()) return true;
    mistakes.add(entry.value.place, fmt::format("{}: {}", path, error));
    return false;
}

bool read_one(const YamlNode& node, PositionSettings& position, std::set<std::string>& given, Mistakes& mistakes) {
    const bool named = node.kind == YamlNode::Kind::scalar;
    YamlNode copy = node;
    const YamlNode* name = named ? &node : copy.find("encoding");
    if (name == nullptr || name->kind != YamlNode::Kind::scalar) {
        mistakes.add(node.place,
                     fmt::format("model.position: needs a name, as in `position: absolute` or `encoding: absolute`; {}",
                                 known_names(encoding_names())));
        return false;
    }
    const EncodingEntry* encoding = known_encoding(name->text, name->place, mistakes);
    if (encoding == nullptr) return false;
    position = default_position(name->text);
    bool good = true;
    for (const YamlEntry& entry : node.entries) {
        if (entry.key == "encoding") continue;
        good = read_entry(*encoding, entry, position, mistakes) && good;
        given.insert(entry.key);
    }
    return good;
}

/// Encodings that cannot stand side by side whatever their options are.
bool check_composition(const std::vector<PositionSettings>& positions, const GivenKeys& given, Mistakes& mistakes) {
    bool good = true;
    for (std::size_t i = 0; i < positions.size(); ++i) {
        const std::string& name = positions[i].encoding;
        const auto earlier = positions.begin() + static_cast<std::ptrdiff_t>(i);
        const bool twice =
            std::any_of(positions.begin(), earlier, [&](const PositionSettings& p) { return p.encoding == name; });
        if (twice) mistakes.add(given.encodings[i], fmt::format("model.position: {} stands twice in the list", name));
        const bool idle = name == "none" && positions.size() > 1;
        if (idle) mistakes.add(given.encodings[i], "model.position: none cannot stand beside other encodings");
        good = good && !twice && !idle;
    }
    return good;
}

}  // namespace

bool read_position(const YamlNode& node, std::vector<PositionSettings>& positions, GivenKeys& given,
                   Mistakes& mistakes) {
    const bool list = node.kind == YamlNode::Kind::sequence;
    if (list && node.items.empty()) {
        mistakes.add(node.place, "model.position: an empty list; write none for no position encoding");
        return false;
    }
    const std::vector<YamlNode> items = list ? node.items : std::vector<YamlNode>{node};
    positions.clear();
    given.encodings.clear();
    given.encoding_options.clear();
    bool good = true;
    for (const YamlNode& item : items) {
        PositionSettings position;
        good = read_one(item, position, given.encoding_options.emplace_back(), mistakes) && good;
        positions.push_back(std::move(position));
        given.encodings.push_back(item.place);
    }
    return good && check_composition(positions, given, mistakes);
}

}  // namespace locus
