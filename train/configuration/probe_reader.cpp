#include "train/configuration/probe_reader.h"

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "data/probes/probe.h"
#include "train/configuration/nearest_name.h"
#include "train/configuration/unknown_key.h"
#include "train/configuration/values.h"

namespace locus {

namespace {

/// "did you mean order?", else all that are known.
std::string suggestion(const std::string& name, const std::vector<std::string>& names) {
    const std::string nearest = nearest_name(name, names);
    return nearest.empty() ? known_names(names) : fmt::format("did you mean {}?", nearest);
}

std::vector<std::string> probe_names() {
    std::vector<std::string> names;
    for (const Probe& probe : probe_registry()) names.emplace_back(probe.name);
    return names;
}

const ProbeOption* find_option(const Probe& probe, const std::string& name) {
    const auto found = std::find_if(probe.options.begin(), probe.options.end(),
                                    [&](const ProbeOption& option) { return option.name == name; });
    return found == probe.options.end() ? nullptr : &*found;
}

std::string explain_unknown(const Probe& probe, const std::string& name) {
    std::vector<std::string> names{"seed"};
    for (const ProbeOption& option : probe.options) names.emplace_back(option.name);
    return fmt::format("the probe {} has no such option; {}", probe.name, suggestion(name, names));
}

std::string read_integer(const YamlNode& node, std::int64_t& value) {
    if (node.kind != YamlNode::Kind::scalar) return fmt::format("expects a whole number, not {}", node.kind_name());
    const Parsed<std::int64_t> parsed = parse_integer(node.text);
    if (parsed) value = parsed.value;
    return parsed.error;
}

/// Reads a node as the type that `value` has. Returns the mistake, if any.
std::string read_value(const YamlNode& node, ProbeOptionValue& value) {
    if (auto* integer = std::get_if<std::int64_t>(&value)) return read_integer(node, *integer);
    if (auto* text = std::get_if<std::string>(&value)) {
        if (node.kind != YamlNode::Kind::scalar) return fmt::format("expects a text, not {}", node.kind_name());
        *text = node.text;
        return {};
    }
    if (node.kind != YamlNode::Kind::sequence)
        return fmt::format("expects a list of whole numbers, not {}", node.kind_name());
    auto& list = std::get<std::vector<std::int64_t>>(value);
    list.clear();
    for (const YamlNode& item : node.items) {
        const std::string error = read_integer(item, list.emplace_back());
        if (!error.empty()) return error;
    }
    return {};
}

std::string read_seed(const YamlNode& node, std::uint32_t& seed) {
    std::int64_t value = 0;
    const std::string error = read_integer(node, value);
    if (!error.empty()) return error;
    constexpr std::int64_t most = std::numeric_limits<std::uint32_t>::max();
    if (value < 0 || value > most) return fmt::format("must be at least 0 and at most {}, not {}", most, value);
    seed = static_cast<std::uint32_t>(value);
    return {};
}

bool read_entry(const Probe& probe, const YamlEntry& entry, ProbeSettings& settings, Mistakes& mistakes) {
    const std::string path = fmt::format("data.probe.{}", entry.key);
    const bool is_seed = entry.key == "seed";
    if (!is_seed && find_option(probe, entry.key) == nullptr) {
        mistakes.add(entry.place, fmt::format("{}: {}", path, explain_unknown(probe, entry.key)));
        return false;
    }
    const std::string error =
        is_seed ? read_seed(entry.value, settings.seed) : read_value(entry.value, settings.options.at(entry.key));
    if (error.empty()) return true;
    mistakes.add(entry.value.place, fmt::format("{}: {}", path, error));
    return false;
}

}  // namespace

bool read_probe(const YamlNode& node, ProbeSettings& settings, Mistakes& mistakes) {
    YamlNode copy = node;
    const YamlNode* name = node.kind == YamlNode::Kind::scalar ? &node : copy.find("name");
    if (name == nullptr || name->kind != YamlNode::Kind::scalar) {
        mistakes.add(node.place,
                     fmt::format("data.probe: needs a name, as in `probe: order` or `probe: {{name: order}}`; {}",
                                 known_names(probe_names())));
        return false;
    }
    const Probe* probe = find_probe(name->text);
    if (probe == nullptr) {
        mistakes.add(name->place, fmt::format("data.probe: no probe is called \"{}\"; {}", name->text,
                                              suggestion(name->text, probe_names())));
        return false;
    }
    settings = default_probe(name->text);
    bool good = true;
    for (const YamlEntry& entry : node.entries)
        if (entry.key != "name") good = read_entry(*probe, entry, settings, mistakes) && good;
    return good;
}

}  // namespace locus
