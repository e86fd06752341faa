#include "data/tokenizer_training.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "data/byte_tokenizer.h"
#include "data/error.h"
#include "data/tokenizer_files.h"
#include "data/vocabulary_training.h"
#include "data/word_counts.h"

namespace locus {
namespace {

Normalisation rules_of(const TokenizerSettings& settings) {
    return {true, settings.split_chinese, settings.strip_accents, settings.lowercase};
}

TrainedTokenizer train_on_words(const TokenizerSettings& settings, const std::vector<std::filesystem::path>& files,
                                const DataSettings& data, const ProgressReport& progress) {
    const TokenizerDescription defaults;
    WordCounter counter(rules_of(settings), defaults.longest_word);
    const CorpusStatistics text = read_corpus(
        files, data, [&](std::string_view paragraph, bool) { counter.add(paragraph); }, progress);
    TrainedTokenizer trained = train_wordpiece(counter.finish(), settings, progress);
    trained.report.bytes = text.bytes;
    return trained;
}

TrainedTokenizer train_on_characters(const TokenizerSettings& settings, const std::vector<std::filesystem::path>& files,
                                     const DataSettings& data, const ProgressReport& progress) {
    CharacterCounter counter({false, false, settings.strip_accents, settings.lowercase});
    const CorpusStatistics text = read_corpus(
        files, data, [&](std::string_view paragraph, bool) { counter.add(paragraph); }, progress);
    TrainedTokenizer trained = train_characters(counter.finish(), settings);
    trained.report.bytes = text.bytes;
    return trained;
}

}  // namespace

TrainedTokenizer train_tokenizer(const TokenizerSettings& settings, const std::vector<std::filesystem::path>& files,
                                 const DataSettings& data, const ProgressReport& progress) {
    if (!settings.path.empty()) throw std::logic_error("train_tokenizer: the settings name a tokenizer that exists");
    if (settings.type == "wordpiece") return train_on_words(settings, files, data, progress);
    if (settings.type == "characters") return train_on_characters(settings, files, data, progress);
    if (settings.type != "bytes") {
        throw DataError(
            fmt::format("tokenizer type {} is not known; choose wordpiece, characters or bytes", settings.type));
    }
    VocabularyReport report;
    report.alphabet = 256;
    report.character_coverage = 1.0;
    return {make_tokenizer(byte_tokenizer_description()), report};
}

}  // namespace locus
