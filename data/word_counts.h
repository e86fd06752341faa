#pragma once
// How often each word of a corpus occurs, counted in parallel. The result does not depend on the number of threads.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "data/basic_tokenizer.h"

namespace locus {

/// A word and how often it occurs.
using WordCount = std::pair<std::string, std::int64_t>;

struct WordCounts {
    std::vector<WordCount> words;  // commonest first, equally common ones by bytes
    std::int64_t total = 0;        // occurrences of all words, too long and dropped ones included
    std::int64_t too_long = 0;     // occurrences of words beyond the limit, which are not among `words`
    std::int64_t dropped = 0;      // occurrences of rare words that did not fit into the table
};

/// Memory: the batch at hand, and `most_words` distinct words; when more turn up, those seen once so far are dropped,
/// then those seen twice, and so on until half the table is free.
class WordCounter {
public:
    WordCounter(const Normalisation& rules, std::int64_t longest_word, std::size_t most_words = std::size_t{1} << 24U);

    /// Adds the words of `text` (valid UTF-8; a word does not go on in the next text).
    void add(std::string_view text);
    WordCounts finish();

private:
    struct TextHash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
    };
    using Table = std::unordered_map<std::string, std::int64_t, TextHash, std::equal_to<>>;

    void count_batch();
    void merge(std::vector<std::vector<Table>>& found);
    void drop_rare_words();
    std::size_t distinct() const;

    Normalisation rules_;
    std::int64_t longest_word_;
    std::size_t most_words_;
    std::string batch_;
    std::vector<std::size_t> ends_;  // of the texts in batch_
    std::vector<Table> tables_;      // a word is in the table of its hash
    WordCounts counts_;
};

}  // namespace locus
