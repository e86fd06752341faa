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
    std::int64_t words = 0, distinct_words = 0, characters_in_text = 0, alphabet = 0;
    double character_coverage = 0.0;  // reached
    double unknown_rate = 0.0;        // tokens of the training text that become [UNK]
    std::vector<std::pair<std::string, std::int64_t>> commonest_unknown;  // characters, ten at most
};

struct TrainedTokenizer {
    std::unique_ptr<Tokenizer> tokenizer;
    VocabularyReport report;
};

/// Trains the tokenizer that the settings ask for on `files`: the same vocabulary for any number of threads, never larger than
/// asked. Throws DataError when the alphabet alone does not fit.
TrainedTokenizer train_tokenizer(const TokenizerSettings& settings, const std::vector<std::filesystem::path>& files,
                                 const DataSettings& data, const ProgressReport& progress = {});

}  // namespace locus
