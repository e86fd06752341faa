#pragma once
// What to say about a key that does not exist where it stands.

#include <string>
#include <vector>

#include "train/configuration/schema.h"

namespace locus {

/// Completes "SECTION.NAME: ...": the right spelling, the section that the key belongs to, or the nearest known key.
/// `section` is empty at the top.
std::string explain_unknown_key(const std::string& section, const std::string& name,
                                const std::vector<ConfigurationKey>& keys);

/// The same for an option of an encoding.
std::string explain_unknown_option(const std::string& encoding, const std::string& name);

/// "known: a, b and c".
std::string known_names(const std::vector<std::string>& names);

/// The names of all encodings.
std::vector<std::string> encoding_names();

}  // namespace locus
