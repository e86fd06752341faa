#pragma once
// A corpus from a seeded grammar: real enough that a model has something to learn from position, small enough to need no download.
//
//   english   subject and verb agree over relative clauses and prepositional phrases; adjectives stand in a fixed order; names are introduced and
//             come back through a document; stores open beside malls
//   chinese   classifier and noun agree at a distance (一家商店, 一只猫), 把 and 被 turn the order of words round, names come back
//
// The same seed gives the same bytes on every machine (random.h, integers only). Documents are separated by a blank line.

#include <cstdint>
#include <filesystem>
#include <string>

#include "data/progress.h"
#include "data/settings.h"

namespace locus {

/// Document number `index` of a language, several paragraphs of UTF-8 without the closing blank line.
std::string synthetic_document(const std::string& language, std::uint32_t seed, std::uint32_t index);

struct SyntheticFiles {
    std::filesystem::path train, valid;
};

/// The training and validation text of `settings` under `folder`, written whole or not at all, or found from an earlier call (its checksum is
/// compared; a damaged file is written again). A megabyte is 10^6 bytes; the last document is whole. Validation documents have
/// numbers that training never reaches. Throws DataError for settings out of range, std::system_error (disk full: nothing is left behind).
SyntheticFiles write_synthetic_corpus(const SyntheticSettings& settings, const std::filesystem::path& folder,
                                      const ProgressReport& progress = {});

}  // namespace locus
