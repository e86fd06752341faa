#pragma once
// YAML as a tree of texts with their places. Types are not guessed here: the key that a text stands under decides (values.h), so `1e-4` and
// `no` cannot change their meaning on the way.

#include <string>
#include <vector>

#include "train/configuration/mistakes.h"

namespace locus {

struct YamlEntry;

/// A node. A null is a value left out, `~` or `null`.
struct YamlNode {
    enum class Kind { null, scalar, sequence, mapping };

    Kind kind = Kind::null;
    Place place;
    std::string text;                // of a scalar
    std::vector<YamlNode> items;     // of a sequence
    std::vector<YamlEntry> entries;  // of a mapping, in the order of the file

    /// The value of `key`; nullptr when there is none.
    YamlNode* find(const std::string& key);
    /// "a text", "a list", ... for messages.
    const char* kind_name() const;
};

struct YamlEntry {
    std::string key;
    Place place;
    YamlNode value;
};

/// Parses one document. Duplicate keys, anchors, aliases, tags, keys that are not plain text, tabs in the indentation and a second document
/// are mistakes; text that is not YAML is one too, and ends the parsing. `source` names the text in places.
YamlNode parse_yaml(const std::string& text, const std::string& source, Mistakes& mistakes);
/// The value of an override: all its places are the override itself.
YamlNode parse_override_value(const std::string& text, const Place& place, Mistakes& mistakes);

}  // namespace locus
