#include "data/tokenizer_training.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <map>
#include <random>
#include <set>

#include "data/vocabulary_training.h"
#include "tests/data/tokenizer_testing.h"

namespace locus {
namespace {

TokenizerSettings wordpiece(std::int64_t size, double coverage = 1.0) {
    TokenizerSettings settings;
    settings.vocab_size = size;
    settings.character_coverage = coverage;
    return settings;
}

WordCounts counts_of(std::vector<WordCount> words) {
    WordCounts counts;
    for (const WordCount& word : words) counts.total += word.second;
    counts.words = std::move(words);
    return counts;
}

std::vector<std::string> tokens_of(const Tokenizer& tokenizer) {
    std::vector<std::string> tokens;
    for (std::int32_t id = 0; id < tokenizer.vocab_size(); ++id) tokens.push_back(tokenizer.token(id));
    return tokens;
}

/// Words of invented syllables, some common, most rare; the same on every machine.
std::string invented_text(int paragraphs) {
    const std::vector<std::string> syllables{"ka", "lo", "mi", "ster", "un", "ing", "é", "bra", "q", "zó", "北", "tt"};
    std::minstd_rand random(1);
    std::string text;
    for (int p = 0; p < paragraphs; ++p) {
        for (int w = 0; w < 30; ++w) {
            const unsigned length = 1 + random() % 3;
            for (unsigned s = 0; s < length; ++s) text += syllables[std::min(random() % 12, random() % 12)];
            text += w % 7 == 6 ? ", " : " ";
        }
        text += "\n";
    }
    return text;
}

/// The algorithm of wordpiece_training.h word for word, without indices or queues.
std::vector<std::string> pieces_by_definition(const std::vector<WordCount>& words, std::vector<std::string> pieces,
                                              std::size_t size) {
    std::vector<std::vector<std::string>> split;
    for (const WordCount& word : words) {
        std::vector<std::string> symbols;
        for (const char c : word.first) symbols.push_back((symbols.empty() ? "" : "##") + std::string(1, c));
        split.push_back(symbols);
    }
    const auto id = [&](const std::string& piece) {
        return std::find(pieces.begin(), pieces.end(), piece) - pieces.begin();
    };
    while (pieces.size() < size) {
        std::map<std::pair<std::ptrdiff_t, std::ptrdiff_t>, std::int64_t> pairs;
        for (std::size_t w = 0; w < words.size(); ++w) {
            for (std::size_t i = 0; i + 1 < split[w].size(); ++i)
                pairs[{id(split[w][i]), id(split[w][i + 1])}] += words[w].second;
        }
        if (pairs.empty()) break;
        auto best = pairs.begin();
        for (auto at = pairs.begin(); at != pairs.end(); ++at) best = at->second > best->second ? at : best;
        const std::string left = pieces[static_cast<std::size_t>(best->first.first)],
                          right = pieces[static_cast<std::size_t>(best->first.second)];
        const std::string joined = left + right.substr(2);
        for (std::vector<std::string>& symbols : split) {
            for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
                if (symbols[i] != left || symbols[i + 1] != right) continue;
                symbols[i] = joined;
                symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(i) + 1);
            }
        }
        if (id(joined) == static_cast<std::ptrdiff_t>(pieces.size())) pieces.push_back(joined);
    }
    return pieces;
}

TEST(WordPieceTraining, FollowsItsDefinition) {
    std::minstd_rand random(3);
    for (int round = 0; round < 20; ++round) {
        std::map<std::string, std::int64_t> table;
        for (int i = 0; i < 60; ++i) {
            std::string word;
            const unsigned length = 1 + random() % 9,
                           letters = 2 + static_cast<unsigned>(round) % 4;  // few letters: aaa, abab
            for (unsigned k = 0; k < length; ++k) word.push_back(static_cast<char>('a' + random() % letters));
            table[word] += 1 + static_cast<std::int64_t>(random() % 5);
        }
        const std::vector<WordCount> words(table.begin(), table.end());
        const TrainedTokenizer trained = train_wordpiece(counts_of(words), wordpiece(70));
        std::vector<std::string> alphabet = special_token_names();
        std::set<std::string> first, later;
        for (const WordCount& word : words) {
            for (std::size_t i = 0; i < word.first.size(); ++i) {
                first.insert(word.first.substr(i, 1));
                if (i > 0) later.insert("##" + word.first.substr(i, 1));
            }
        }
        alphabet.insert(alphabet.end(), first.begin(), first.end());
        alphabet.insert(alphabet.end(), later.begin(), later.end());
        EXPECT_EQ(tokens_of(*trained.tokenizer), pieces_by_definition(words, alphabet, 70)) << "round " << round;
    }
}

TEST(WordPieceTraining, TiesGoToTheLowerIds) {
    const auto trained = train_wordpiece(counts_of({{"ab", 3}, {"cd", 3}, {"ce", 3}}), wordpiece(5 + 5 + 3 + 2));
    EXPECT_EQ(tokens_of(*trained.tokenizer),
              (std::vector<std::string>{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "d", "e", "##b",
                                        "##d", "##e", "ab", "cd"}));
}

TEST(WordPieceTraining, TheSizeIsReachedAndNeverExceeded) {
    WordCounter counter({}, 100);
    counter.add(invented_text(200));
    const WordCounts counts = counter.finish();
    for (const std::int64_t size : {60, 64, 100, 333, 500}) {
        const auto trained = train_wordpiece(counts, wordpiece(size));
        EXPECT_EQ(trained.tokenizer->vocab_size(), size);
        const std::vector<std::string> tokens = tokens_of(*trained.tokenizer);
        EXPECT_EQ(std::set<std::string>(tokens.begin(), tokens.end()).size(), tokens.size()) << "each token once";
        EXPECT_EQ(trained.report.unknown_rate, 0.0);
    }
    const auto exhausted = train_wordpiece(counts_of({{"ab", 1}, {"abc", 2}}), wordpiece(100));
    EXPECT_EQ(tokens_of(*exhausted.tokenizer).back(), "abc");
    EXPECT_EQ(exhausted.tokenizer->vocab_size(), 12) << "a b c ##b ##c ab abc: no word is left in pieces";
}

TEST(WordPieceTraining, AnAlphabetThatDoesNotFitIsAnError) {
    const WordCounts counts = counts_of({{"ab", 3}, {"cd", 3}});
    EXPECT_EQ(train_wordpiece(counts, wordpiece(11)).tokenizer->vocab_size(), 11);
    EXPECT_EQ(message_of<DataError>([&] { train_wordpiece(counts, wordpiece(10)); }),
              "vocab_size 10 is too small: the 5 special tokens and the 4 characters that cover 1 of the text "
              "(character_coverage) need 11 "
              "tokens; ask for that many, or for less coverage");
    EXPECT_EQ(message_of<DataError>([&] { train_wordpiece(WordCounts{}, wordpiece(100)); }),
              "the text has no words to learn a vocabulary from");
    EXPECT_THROW(train_wordpiece(counts, wordpiece(100, 0.0)), DataError);
    EXPECT_THROW(train_wordpiece(counts, wordpiece(100, 1.1)), DataError);
}

TEST(WordPieceTraining, RareCharactersAreLeftOutAndReported) {
    WordCounts counts = counts_of({{"aa", 45}, {"bx", 5}, {"y", 3}, {"z", 2}, {"w", 2}});
    counts.total += 4;
    counts.too_long = 4;
    const auto trained = train_wordpiece(counts, wordpiece(100, 0.9));  // 107 characters: 90 a, 5 b, 5 x, 3 y, 2 w, 2 z
    const VocabularyReport& report = trained.report;
    EXPECT_EQ(report.words, 61);
    EXPECT_EQ(report.distinct_words, 5);
    EXPECT_EQ(report.characters_in_text, 6);
    EXPECT_EQ(report.alphabet, 3) << "a, b, x: 100 of 107";
    EXPECT_DOUBLE_EQ(report.character_coverage, 100.0 / 107.0);
    EXPECT_EQ(report.commonest_unknown,
              (std::vector<std::pair<std::string, std::int64_t>>{{"y", 3}, {"w", 2}, {"z", 2}}));
    EXPECT_DOUBLE_EQ(report.unknown_rate, (7.0 + 4.0) / (45.0 + 5.0 + 7.0 + 4.0));
    EXPECT_EQ(pieces_of(*trained.tokenizer, "aa bx y"), "aa bx [UNK]");
}

TEST(WordPieceTraining, TheUnknownListHasTenCharactersAtMost) {
    std::vector<WordCount> words{{"a", 1000}};
    for (char c = 'b'; c <= 'z'; ++c) words.emplace_back(std::string(1, c), 1);
    const auto trained = train_wordpiece(counts_of(words), wordpiece(100, 0.9));
    ASSERT_EQ(trained.report.commonest_unknown.size(), 10U);
    EXPECT_EQ(trained.report.commonest_unknown[0].first, "b");
}

TEST(WordPieceTraining, FilesGiveTheSameBytesForAnyNumberOfThreads) {
    const TemporaryFolder folder;
    const auto text = folder.write("text.txt", invented_text(3000));
    const int before = omp_get_max_threads();
    std::vector<std::string> written;
    for (const int threads : {1, 2, 5}) {
        omp_set_num_threads(threads);
        const auto trained = train_tokenizer(wordpiece(300), {text}, {});
        EXPECT_EQ(trained.tokenizer->vocab_size(), 300);
        EXPECT_GT(trained.report.distinct_words, 1000);
        trained.tokenizer->save(folder.path());
        written.push_back(contents(folder.path() / "vocab.txt") + contents(folder.path() / "tokenizer.json"));
    }
    omp_set_num_threads(before);
    EXPECT_EQ(written[0], written[1]);
    EXPECT_EQ(written[0], written[2]);
}

TEST(WordCounter, CountsWordsOnceHoweverTheTextComes) {
    WordCounter counter({}, 5);
    counter.add("The cat the");
    counter.add("hat. toolong THE " + std::string(100, 'x'));
    const WordCounts counts = counter.finish();
    EXPECT_EQ(counts.words, (std::vector<WordCount>{{"the", 3}, {".", 1}, {"cat", 1}, {"hat", 1}}));
    EXPECT_EQ(counts.total, 8);
    EXPECT_EQ(counts.too_long, 2);
    EXPECT_EQ(counts.dropped, 0);
}

TEST(WordCounter, ATableThatIsFullDropsRareWords) {
    std::vector<WordCounts> results;
    for (const int threads : {1, 3}) {
        const int before = omp_get_max_threads();
        omp_set_num_threads(threads);
        WordCounter counter({}, 100, 100);
        std::string text;
        for (int i = 0; i < 2000; ++i) text += "common w" + std::to_string(i) + (i % 50 == 0 ? " fifty fifty " : " ");
        counter.add(text);
        results.push_back(counter.finish());
        omp_set_num_threads(before);
    }
    EXPECT_EQ(results[0].words, (std::vector<WordCount>{{"common", 2000}, {"fifty", 80}}));
    EXPECT_EQ(results[0].dropped, 2000);
    EXPECT_EQ(results[0].total, 4080);
    EXPECT_EQ(results[1].words, results[0].words);
}

TEST(CharacterTraining, CommonestFirstAndOnlyAsManyAsCoverTheText) {
    TokenizerSettings settings;
    settings.type = "characters";
    settings.vocab_size = 20;
    settings.character_coverage = 0.9;
    settings.lowercase = true;
    const TemporaryFolder folder;
    const auto text = folder.write("text.txt", "aaaa BBB bb\naaaa é 北\n");
    const auto trained = train_tokenizer(settings, {text}, {});
    // 8 a, 5 b, 4 spaces, e (its accent stripped) and 北 once each: a, b and the space are 17 of 19, below 0.9
    EXPECT_EQ(tokens_of(*trained.tokenizer),
              (std::vector<std::string>{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", " ", "e"}));
    EXPECT_EQ(trained.report.bytes, 22) << "without line ends";
    EXPECT_EQ(trained.report.characters_in_text, 5);
    EXPECT_DOUBLE_EQ(trained.report.character_coverage, 18.0 / 19.0);
    EXPECT_DOUBLE_EQ(trained.report.unknown_rate, 1.0 - 18.0 / 19.0);
    EXPECT_EQ(trained.report.commonest_unknown, (std::vector<std::pair<std::string, std::int64_t>>{{"北", 1}}));
    EXPECT_EQ(pieces_of(*trained.tokenizer, "É北"), "e [UNK]");
    settings.vocab_size = 8;
    EXPECT_EQ(message_of<DataError>([&] { train_tokenizer(settings, {text}, {}); }),
              "vocab_size 8 is too small: the 5 special tokens and the 4 characters that cover 0.9 of the text "
              "(character_coverage) need 9 "
              "tokens; ask for that many, or for less coverage");
}

TEST(CharacterTraining, ALineEndIsNeverAToken) {
    EXPECT_EQ(train_characters({{U'\n', 9}, {U'\r', 9}, {U'a', 1}}, wordpiece(50)).tokenizer->vocab_size(), 6);
    EXPECT_THROW(train_characters({{U'\n', 9}}, wordpiece(50)), DataError);
}

TEST(TokenizerTraining, BytesNeedNoText) {
    TokenizerSettings settings;
    settings.type = "bytes";
    const auto trained = train_tokenizer(settings, {}, {});
    EXPECT_EQ(trained.tokenizer->vocab_size(), 261);
    EXPECT_EQ(trained.report.unknown_rate, 0.0);
}

TEST(TokenizerTraining, AnUnknownTypeIsNamed) {
    TokenizerSettings settings;
    settings.type = "unigram";
    EXPECT_EQ(message_of<DataError>([&] { train_tokenizer(settings, {}, {}); }),
              "tokenizer type unigram is not known; choose wordpiece, characters or bytes");
    settings.path = "somewhere";
    EXPECT_THROW(train_tokenizer(settings, {}, {}), std::logic_error);
}

}  // namespace
}  // namespace locus
