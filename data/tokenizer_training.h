#pragma once
// Vocabularies from text.

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/corpus.h"
#include "data/tokenizer.h"

namespace locus {

struct VocabularyReport {
    std::int64_t bytes = 0;                      // of the text, as UTF-8; bytes: 0, nothing is read
    std::int64_t words = 0, distinct_words = 0;  // of the text; only wordpiece counts them
    std::int64_t characters_in_text = 0;         // how many different ones; bytes: 0, nothing is counted
    std::int64_t alphabet = 0;                   // how many of these the vocabulary has
    double character_coverage = 0.0;             // reached: the share of the text that is of the alphabet
    double unknown_rate = 0.0;                   // tokens of the training text that become [UNK]
    std::vector<std::pair<std::string, std::int64_t>> commonest_unknown;  // characters, ten at most
};

struct TrainedTokenizer {
    std::unique_ptr<Tokenizer> tokenizer;
    VocabularyReport report;
};

/// Trains the tokenizer that the settings ask for on `files`: the same vocabulary for any number of threads, never
/// larger than asked. Throws DataError when the alphabet alone does not fit.
TrainedTokenizer train_tokenizer(const TokenizerSettings& settings, const std::vector<std::filesystem::path>& files,
                                 const DataSettings& data, const ProgressReport& progress = {});

}  // namespace locus
