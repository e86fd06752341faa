#include "data/vocabulary_training.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "data/error.h"
#include "data/tokenizer_files.h"
#include "data/wordpiece.h"
#include "data/wordpiece_training.h"

namespace locus {
namespace {

constexpr std::size_t listed_unknown_characters = 10;

std::string utf8(char32_t c) {
    std::string text;
    append_utf8(text, c);
    return text;
}

void check_settings(const TokenizerSettings& settings) {
    if (!(settings.character_coverage > 0.0 && settings.character_coverage <= 1.0)) {
        throw DataError(fmt::format("character_coverage is {}; it is a share of the text, above 0 and at most 1",
                                    settings.character_coverage));
    }
}

void check_size(std::size_t needed, std::size_t alphabet, const TokenizerSettings& settings) {
    if (static_cast<std::int64_t>(needed) <= settings.vocab_size) return;
    throw DataError(
        fmt::format("vocab_size {} is too small: the 5 special tokens and the {} characters that cover {} of the text "
                    "(character_coverage) need {} tokens; ask for that many, or for less coverage",
                    settings.vocab_size, alphabet, settings.character_coverage, needed));
}

VocabularyReport report_on(const CharacterCounts& counts, std::size_t alphabet) {
    VocabularyReport report;
    report.characters_in_text = static_cast<std::int64_t>(counts.size());
    report.alphabet = static_cast<std::int64_t>(alphabet);
    const std::int64_t covered =
        total_of(CharacterCounts(counts.begin(), counts.begin() + static_cast<std::ptrdiff_t>(alphabet)));
    report.character_coverage = static_cast<double>(covered) / static_cast<double>(total_of(counts));
    for (std::size_t i = alphabet; i < std::min(counts.size(), alphabet + listed_unknown_characters); ++i) {
        report.commonest_unknown.emplace_back(utf8(counts[i].first), counts[i].second);
    }
    return report;
}

/// Which characters are of the alphabet, and which of those come after the first place in a word.
struct Alphabet {
    std::vector<bool> has = std::vector<bool>(0x110000, false);
    std::vector<bool> continues = std::vector<bool>(0x110000, false);

    bool covers(std::string_view word) const {
        for (std::size_t at = 0; at < word.size();) {
            const CodePoint point = code_point_at(word, at);
            if (!has[point.value]) return false;
            at += static_cast<std::size_t>(point.length);
        }
        return true;
    }

    void note_continuations(std::string_view word) {
        for (std::size_t at = 0; at < word.size();) {
            const CodePoint point = code_point_at(word, at);
            if (at > 0) continues[point.value] = true;
            at += static_cast<std::size_t>(point.length);
        }
    }

    void append_to(std::vector<std::string>& pieces) const {
        for (std::size_t c = 0; c < has.size(); ++c) {
            if (has[c]) pieces.push_back(utf8(static_cast<char32_t>(c)));
        }
        for (std::size_t c = 0; c < continues.size(); ++c) {
            if (continues[c]) pieces.push_back("##" + utf8(static_cast<char32_t>(c)));
        }
    }
};

double unknown_rate(const WordCounts& counts, const TokenizerDescription& description) {
    const WordPieces pieces(description.tokens, description.special.unknown, description.longest_word);
    std::int64_t tokens = counts.too_long, unknown = counts.too_long;
    std::vector<std::int32_t> ids;
    for (const WordCount& counted : counts.words) {
        ids.clear();
        pieces.encode_word(counted.first, 1, ids);  // none of these words is too long
        tokens += counted.second * static_cast<std::int64_t>(ids.size());
        if (ids[0] == description.special.unknown) unknown += counted.second;
    }
    return static_cast<double>(unknown) / static_cast<double>(tokens);
}

}  // namespace

TrainedTokenizer train_wordpiece(WordCounts counts, const TokenizerSettings& settings, const ProgressReport& progress) {
    check_settings(settings);
    if (counts.words.empty()) throw DataError("the text has no words to learn a vocabulary from");
    const CharacterCounts characters = count_characters(counts.words);
    const std::size_t size = alphabet_size(characters, settings.character_coverage);
    Alphabet alphabet;
    for (std::size_t i = 0; i < size; ++i) alphabet.has[characters[i].first] = true;
    const auto end = std::stable_partition(counts.words.begin(), counts.words.end(),
                                           [&](const WordCount& counted) { return alphabet.covers(counted.first); });
    const std::span<const WordCount> covered(counts.words.data(), static_cast<std::size_t>(end - counts.words.begin()));
    for (const WordCount& counted : covered) alphabet.note_continuations(counted.first);

    TokenizerDescription description;
    description.tokens = special_token_names();
    description.rules = {true, settings.split_chinese, settings.strip_accents, settings.lowercase};
    alphabet.append_to(description.tokens);
    check_size(description.tokens.size(), size, settings);
    ThrottledProgress report_progress(progress);
    learn_pieces(covered, settings.vocab_size, description.tokens, report_progress);

    VocabularyReport report = report_on(characters, size);
    report.words = counts.total;
    report.distinct_words = static_cast<std::int64_t>(counts.words.size());
    report.unknown_rate = unknown_rate(counts, description);
    return {make_tokenizer(std::move(description)), std::move(report)};
}

TrainedTokenizer train_characters(const CharacterCounts& counts, const TokenizerSettings& settings) {
    check_settings(settings);
    CharacterCounts usable = counts;
    std::erase_if(usable, [](const auto& counted) { return counted.first == '\n' || counted.first == '\r'; });
    if (usable.empty()) throw DataError("the text has no characters to learn a vocabulary from");
    const std::size_t size = alphabet_size(usable, settings.character_coverage);
    const std::size_t specials = special_token_names().size();
    check_size(specials + size, size, settings);

    TokenizerDescription description;
    description.kind = TokenizerKind::characters;
    description.tokens = special_token_names();
    description.rules = {false, false, settings.strip_accents, settings.lowercase};
    for (std::size_t i = 0; i < size; ++i) description.tokens.push_back(utf8(usable[i].first));
    VocabularyReport report = report_on(usable, size);
    report.unknown_rate = 1.0 - report.character_coverage;
    return {make_tokenizer(std::move(description)), std::move(report)};
}

}  // namespace locus
