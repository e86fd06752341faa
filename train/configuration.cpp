#include "train/configuration.h"

#include <cerrno>
#include <fstream>
#include <iterator>
#include <set>

#include <fmt/format.h>

#include "train/configuration/checks.h"
#include "train/configuration/given.h"
#include "train/configuration/nearest_name.h"
#include "train/configuration/overrides.h"
#include "train/configuration/position_reader.h"
#include "train/configuration/probe_reader.h"
#include "train/configuration/schema.h"
#include "train/configuration/settings_of_tree.h"
#include "train/configuration/unknown_key.h"
#include "train/configuration/values.h"
#include "train/configuration/yaml_tree.h"
#include "train/error.h"

namespace locus {

namespace {

std::string check_range(double value, const Allowed& allowed) {
    if (allowed.contains(value)) return {};
    return fmt::format("must be {}, not {}", allowed.to_string(), write_number(value));
}

std::string check_choice(const std::string& text, const std::vector<std::string>& choices) {
    if (choices.empty()) return {};
    for (const std::string& choice : choices) {
        if (choice == text) return {};
    }
    const std::string nearest = nearest_name(text, choices);
    if (!nearest.empty()) return fmt::format("does not know \"{}\"; did you mean {}?", text, nearest);
    return fmt::format("does not know \"{}\"; {}", text, known_names(choices));
}

/// Fills the setting behind one key from a node; each overload returns the mistake, or nothing.
class ValueReader {
public:
    ValueReader(const YamlNode& node, const Allowed& allowed, GivenKeys& given, Mistakes& mistakes)
        : node_(node), allowed_(allowed), given_(given), mistakes_(mistakes) {}

    std::string operator()(std::string* target) const {
        if (node_.kind != YamlNode::Kind::scalar) return wrong_kind("a text");
        *target = allowed_.is_path ? expand_home(node_.text) : node_.text;
        return check_choice(node_.text, allowed_.choices);
    }
    std::string operator()(bool* target) const {
        if (node_.kind != YamlNode::Kind::scalar) return wrong_kind("true or false");
        const Parsed<bool> parsed = parse_boolean(node_.text);
        *target = parsed.value;
        return parsed.error;
    }
    std::string operator()(double* target) const {
        if (node_.kind != YamlNode::Kind::scalar) return wrong_kind("a number");
        return number(node_.text, target);
    }
    std::string operator()(std::int64_t* target) const { return integer(target); }
    std::string operator()(std::uint32_t* target) const { return integer(target); }
    std::string operator()(NumberPair target) const {
        const bool pair = node_.kind == YamlNode::Kind::sequence && node_.items.size() == 2 &&
                          node_.items[0].kind == YamlNode::Kind::scalar &&
                          node_.items[1].kind == YamlNode::Kind::scalar;
        if (!pair) return "expects a list of two numbers, as in [0.9, 0.98]";
        const std::string error = number(node_.items[0].text, target.first);
        return error.empty() ? number(node_.items[1].text, target.second) : error;
    }
    std::string operator()(std::vector<std::string>* target) const {
        target->clear();
        if (node_.kind == YamlNode::Kind::scalar) {
            target->push_back(expand_home(node_.text));
            return {};
        }
        if (node_.kind != YamlNode::Kind::sequence) return wrong_kind("a list of texts");
        for (const YamlNode& item : node_.items) {
            if (item.kind != YamlNode::Kind::scalar)
                return fmt::format("expects a list of texts; one item is {}", item.kind_name());
            target->push_back(expand_home(item.text));
        }
        return {};
    }
    /// Tells its mistakes itself, each at its own place.
    std::string operator()(std::vector<PositionSettings>* target) const {
        if (!read_position(node_, *target, given_, mistakes_)) given_.unusable.insert("model.position");
        return {};
    }
    std::string operator()(ProbeSettings* target) const {
        if (!read_probe(node_, *target, mistakes_)) given_.unusable.insert("data.probe");
        return {};
    }

private:
    std::string wrong_kind(const char* expected) const {
        return fmt::format("expects {}, not {}", expected, node_.kind_name());
    }

    std::string number(const std::string& text, double* target) const {
        const Parsed<double> parsed = parse_number(text);
        *target = parsed.value;
        return parsed ? check_range(parsed.value, allowed_) : parsed.error;
    }

    template <class Integer>
    std::string integer(Integer* target) const {
        if (node_.kind != YamlNode::Kind::scalar) return wrong_kind("a whole number");
        const Parsed<std::int64_t> parsed = parse_integer(node_.text);
        if (!parsed) return parsed.error;
        const std::string error = check_range(static_cast<double>(parsed.value), allowed_);
        if (error.empty()) *target = static_cast<Integer>(parsed.value);
        return error;
    }

    const YamlNode& node_;
    const Allowed& allowed_;
    GivenKeys& given_;
    Mistakes& mistakes_;
};

/// Walks the tree and fills the settings that its keys stand for.
class SettingsReader {
public:
    SettingsReader(Settings& settings, GivenKeys& given, Mistakes& mistakes)
        : settings_(settings), keys_(configuration_keys(settings)), given_(given), mistakes_(mistakes) {
        for (const ConfigurationKey& key : keys_) {
            for (std::size_t dot = key.path.find('.'); dot != std::string::npos; dot = key.path.find('.', dot + 1)) {
                sections_.insert(key.path.substr(0, dot));
            }
        }
    }

    /// `path` is empty for the whole configuration.
    void read_section(const YamlNode& node, const std::string& path) {
        if (node.kind == YamlNode::Kind::null) return;  // a section with every key commented out
        if (node.kind != YamlNode::Kind::mapping) {
            mistakes_.add(node.place, fmt::format("{}expects keys and values (key: value), not {}",
                                                  path.empty() ? "a configuration " : path + ": ", node.kind_name()));
            return;
        }
        if (path == "data.synthetic") settings_.data.synthetic.enabled = true;
        for (const YamlEntry& entry : node.entries) read_entry(entry, path);
    }

private:
    void read_entry(const YamlEntry& entry, const std::string& section) {
        const std::string path = section.empty() ? entry.key : section + "." + entry.key;
        const ConfigurationKey* key = find(path);
        if (key == nullptr && sections_.count(path) == 0) {
            if (mistakes_.full()) return mistakes_.add(entry.place, path);  // not shown: spare the search for its like
            mistakes_.add(entry.place, fmt::format("{}: {}", path, explain_unknown_key(section, entry.key, keys_)));
            return;
        }
        given_.places[path] = entry.place;
        if (key == nullptr) return read_section(entry.value, path);
        const std::string error = read_value(*key, entry.value);
        if (error.empty()) return;
        given_.unusable.insert(path);
        const bool left_out = entry.value.kind == YamlNode::Kind::null;
        mistakes_.add(left_out ? entry.place : entry.value.place, fmt::format("{}: {}", path, error));
    }

    std::string read_value(const ConfigurationKey& key, const YamlNode& node) {
        if (node.kind == YamlNode::Kind::null) return fmt::format("has no value ({})", key.help);
        return std::visit(ValueReader(node, key.allowed, given_, mistakes_), key.target);
    }

    const ConfigurationKey* find(const std::string& path) const {
        for (const ConfigurationKey& key : keys_) {
            if (key.path == path) return &key;
        }
        return nullptr;
    }

    Settings& settings_;
    std::vector<ConfigurationKey> keys_;
    std::set<std::string> sections_;
    GivenKeys& given_;
    Mistakes& mistakes_;
};

}  // namespace

std::string read_configuration_file(const std::filesystem::path& file) {
    if (std::filesystem::is_directory(file)) {
        throw ConfigurationError(fmt::format("{}: is a folder, and a configuration is a YAML file", file.string()));
    }
    std::ifstream stream(file, std::ios::binary);
    if (!stream) {
        const std::error_code reason(errno, std::generic_category());
        throw ConfigurationError(fmt::format("{}: cannot be read: {}", file.string(), reason.message()));
    }
    return {std::istreambuf_iterator<char>(stream), {}};
}

Settings settings_of_tree(const YamlNode& root, const std::string& name, Mistakes& mistakes) {
    Settings settings;
    GivenKeys given;
    given.whole = {name, 0, 0};
    SettingsReader(settings, given, mistakes).read_section(root, {});
    if (root.kind != YamlNode::Kind::mapping) mistakes.raise();  // all else would follow from that
    if (mistakes.empty()) adopt_initial_model(settings, given, mistakes);
    check_and_complete(settings, std::filesystem::path(name).stem().string(), given, mistakes);
    mistakes.raise();
    return settings;
}

Settings parse_configuration(const std::string& yaml, const std::string& name,
                             const std::vector<std::string>& overrides) {
    Mistakes mistakes;
    YamlNode root = parse_yaml(yaml, name, mistakes);
    mistakes.raise();  // what stands in a broken tree cannot be judged
    if (root.kind == YamlNode::Kind::null && overrides.empty()) {
        mistakes.add(root.place,
                     "the configuration is empty; it needs at least data.train, data.synthetic or data.probe");
        mistakes.raise();
    }
    apply_overrides(overrides, root, mistakes);
    return settings_of_tree(root, name, mistakes);
}

Settings read_configuration(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
    return parse_configuration(read_configuration_file(file), file.string(), overrides);
}

}  // namespace locus
