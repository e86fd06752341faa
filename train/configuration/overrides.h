#pragma once
// --set key=value: replaces what the file says, before types are looked at.

#include <string>
#include <vector>

#include "train/configuration/yaml_tree.h"

namespace locus {

/// Applies "train.steps=100" and the like to the tree, in order. The value is YAML and replaces the old one whole, a mapping or list too.
void apply_overrides(const std::vector<std::string>& overrides, YamlNode& root, Mistakes& mistakes);

}  // namespace locus
