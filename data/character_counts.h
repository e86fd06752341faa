#pragma once
// How often each character occurs, and the alphabet that covers enough of a text.

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "data/basic_tokenizer.h"
#include "data/word_counts.h"

namespace locus {

/// Commonest first, equally common ones by code point.
using CharacterCounts = std::vector<std::pair<char32_t, std::int64_t>>;

/// Characters of running text, spaces included.
class CharacterCounter {
public:
    explicit CharacterCounter(const Normalisation& rules);

    /// Adds the characters of `text` (valid UTF-8).
    void add(std::string_view text);
    CharacterCounts finish() const;

private:
    Normalisation rules_;
    std::vector<std::int64_t> counts_;  // by code point
};

/// Characters of words, each as often as its words occur.
CharacterCounts count_characters(const std::vector<WordCount>& words);

std::int64_t total_of(const CharacterCounts& counts);

/// How many of the commonest characters it takes to cover the share `coverage` (0..1) of the text.
std::size_t alphabet_size(const CharacterCounts& counts, double coverage);

}  // namespace locus
