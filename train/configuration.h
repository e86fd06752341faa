#pragma once
// YAML to Settings and back. Strict: an unknown or misplaced key, a value of the wrong type or out of range and an impossible combination are
// errors with file:line:column and the nearest known key, and all of them are reported at once.

#include <filesystem>
#include <string>
#include <vector>

#include "train/settings.h"

namespace locus {

/// Reads `file`, applies `overrides` ("train.steps=100"; the value is YAML), fills in defaults and checks. Throws ConfigurationError
/// with one line per mistake.
Settings read_configuration(const std::filesystem::path& file, const std::vector<std::string>& overrides = {});
/// The same from text; `name` stands for the file in messages.
Settings parse_configuration(const std::string& yaml, const std::string& name,
                             const std::vector<std::string>& overrides = {});

/// The resolved configuration with every default written out; reading it gives the same Settings.
std::string write_configuration(const Settings& settings);

}  // namespace locus
