#pragma once
// The keys of one section of a comparison: what is there, what it must be, and the nearest name for what is not there.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "train/configuration/yaml_tree.h"

namespace locus {

/// Takes a value. Returns the mistake, which completes "KEY: ...", or nothing.
using ValueTaker = std::function<std::string(const YamlNode&)>;

struct SectionKey {
    std::string name;
    ValueTaker take;
};

/// Hands each entry of the mapping `node` to its key. `path` is empty at the top of the file. Nothing at all is an empty section.
void read_keys(const YamlNode& node, const std::string& path, const std::vector<SectionKey>& keys, Mistakes& mistakes);

ValueTaker take_integer(std::int64_t& target, std::int64_t lowest);
ValueTaker take_seed(std::uint32_t& target);
/// A list, or a single value, of different numbers.
ValueTaker take_integers(std::vector<std::int64_t>& target, std::int64_t lowest);
ValueTaker take_number(double& target, double above, double below);
ValueTaker take_flag(bool& target);
/// `choices` empty: any text.
ValueTaker take_text(std::string& target, std::vector<std::string> choices = {});
/// A list, or a single text; a leading ~ is the home folder.
ValueTaker take_texts(std::vector<std::string>& target, std::vector<std::string> choices = {});
/// Keeps the node, to be read later.
ValueTaker take_node(const YamlNode*& target);

}  // namespace locus
