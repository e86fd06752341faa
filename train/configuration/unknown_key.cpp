#include "train/configuration/unknown_key.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "model/position/position_encoding.h"
#include "train/configuration/nearest_name.h"

namespace locus {

namespace {

std::string joined(const std::vector<std::string>& names, const char* last) {
    std::string text;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (i > 0) text += i + 1 == names.size() ? fmt::format(" {} ", last) : ", ";
        text += names[i];
    }
    return text;
}

std::string with_underscores(std::string name) {
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
}

std::string below(const std::string& section, const std::string& name) {
    return section.empty() ? name : section + "." + name;
}

/// Every path that exists: keys, and the sections above them.
std::set<std::string> all_paths(const std::vector<ConfigurationKey>& keys) {
    std::set<std::string> paths;
    for (const ConfigurationKey& key : keys) {
        for (std::string path = key.path; !path.empty();) {
            paths.insert(path);
            const std::size_t dot = path.rfind('.');
            path = dot == std::string::npos ? std::string() : path.substr(0, dot);
        }
    }
    return paths;
}

/// Name and place of a path: "train.steps" is "steps" under "train".
std::pair<std::string, std::string> split(const std::string& path) {
    const std::size_t dot = path.rfind('.');
    if (dot == std::string::npos) return {{}, path};
    return {path.substr(0, dot), path.substr(dot + 1)};
}

std::vector<std::string> sections_with(const std::string& name, const std::set<std::string>& paths) {
    std::vector<std::string> sections;
    for (const std::string& path : paths) {
        const auto [section, last] = split(path);
        if (last == name) sections.push_back(section);
    }
    return sections;
}

std::vector<std::string> encodings_with_option(const std::string& name) {
    std::vector<std::string> encodings;
    for (const EncodingEntry& entry : encoding_registry()) {
        const bool has = std::any_of(entry.options.begin(), entry.options.end(),
                                     [&](const EncodingOption& option) { return option.name == name; });
        if (has) encodings.emplace_back(entry.name);
    }
    return encodings;
}

/// Where a name that exists elsewhere belongs; empty when it exists nowhere.
std::string explain_misplaced(const std::string& name, const std::set<std::string>& paths) {
    const std::vector<std::string> sections = sections_with(name, paths);
    if (sections.size() == 1 && sections[0].empty()) {
        return fmt::format("{} stands at the top of the file, not inside a section", name);
    }
    if (!sections.empty()) return fmt::format("{} belongs under {}", name, joined(sections, "or"));
    const std::vector<std::string> encodings = encodings_with_option(name);
    if (encodings.empty()) return {};
    return fmt::format("{} belongs under model.position, beside encoding: {}", name, joined(encodings, "or"));
}

/// The nearest key in the section, else the nearest anywhere.
std::string nearest_path(const std::string& section, const std::string& name, const std::set<std::string>& paths) {
    std::vector<std::string> here, everywhere;
    for (const std::string& path : paths) {
        const auto [parent, last] = split(path);
        if (parent == section) here.push_back(last);
        everywhere.push_back(last);
    }
    const std::string near = nearest_name(name, here);
    if (!near.empty()) return below(section, near);
    const std::string far = nearest_name(name, everywhere);
    return far.empty() ? far : below(sections_with(far, paths).front(), far);
}

}  // namespace

std::string known_names(const std::vector<std::string>& names) { return "known: " + joined(names, "and"); }

std::vector<std::string> encoding_names() {
    std::vector<std::string> names;
    for (const EncodingEntry& entry : encoding_registry()) names.emplace_back(entry.name);
    return names;
}

std::string explain_unknown_key(const std::string& section, const std::string& name,
                                const std::vector<ConfigurationKey>& keys) {
    const std::set<std::string> paths = all_paths(keys);
    const std::string kind = section.empty() ? "unknown section" : "unknown key";
    const std::string spelt = with_underscores(name);
    if (spelt != name && paths.count(below(section, spelt)) > 0) {
        return fmt::format("{}; keys are written with underscores: {}", kind, below(section, spelt));
    }
    const std::string misplaced = explain_misplaced(spelt, paths);
    if (!misplaced.empty()) return fmt::format("{} here; {}", kind, misplaced);
    const std::string nearest = nearest_path(section, spelt, paths);
    if (!nearest.empty()) return fmt::format("{}; did you mean {}?", kind, nearest);
    std::vector<std::string> here;
    for (const std::string& path : paths) {
        if (split(path).first == section) here.push_back(split(path).second);
    }
    return fmt::format("{}; {}", kind, known_names(here));
}

std::string explain_unknown_option(const std::string& encoding, const std::string& name) {
    std::vector<std::string> options;
    for (const EncodingOption& option : find_encoding(encoding)->options) options.emplace_back(option.name);
    if (options.empty()) return fmt::format("the encoding {} has no options", encoding);
    const std::string nearest = nearest_name(name, options);
    if (!nearest.empty()) return fmt::format("the encoding {} has no such option; did you mean {}?", encoding, nearest);
    return fmt::format("the encoding {} has no such option; {}", encoding, known_names(options));
}

}  // namespace locus
