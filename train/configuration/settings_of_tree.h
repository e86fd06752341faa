#pragma once
// The steps of reading a configuration, for what reads several out of one file (train/comparison).

#include <filesystem>
#include <string>

#include "train/configuration/mistakes.h"
#include "train/configuration/yaml_tree.h"
#include "train/settings.h"

namespace locus {

/// The text of a file. Throws ConfigurationError when it cannot be read.
std::string read_configuration_file(const std::filesystem::path& file);

/// Fills in defaults and checks. `name` stands for the file in messages without a place. Throws ConfigurationError with all `mistakes`, those
/// from before too.
Settings settings_of_tree(const YamlNode& root, const std::string& name, Mistakes& mistakes);

}  // namespace locus
