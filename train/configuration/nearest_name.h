#pragma once
// The known name that a misspelt one most likely means.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace locus {

/// Number of insertions, deletions, substitutions and swaps of neighbours between two names.
/// Optimal string alignment distance; O(|a| |b|).
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The name of `known` nearest to `name` (hyphens count as underscores, capitals as small letters), or an empty string when none is near:
/// more than a third of its letters differ. The first of equals.
std::string nearest_name(std::string_view name, const std::vector<std::string>& known);

}  // namespace locus
