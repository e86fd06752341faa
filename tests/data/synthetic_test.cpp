#include "data/synthetic.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <set>
#include <sstream>
#include <system_error>

#include "data/corpus.h"
#include "data/error.h"
#include "data/fingerprint.h"
#include "data/utf8.h"
#include "tests/data/files.h"

namespace locus {
namespace {

std::string many(const std::string& language, std::uint32_t count, std::uint32_t seed = 1) {
    std::string text;
    for (std::uint32_t i = 0; i < count; ++i) text += synthetic_document(language, seed, i) + "\n\n";
    return text;
}

int occurrences(std::string_view text, std::string_view part) {
    int count = 0;
    for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++count;
    return count;
}

TEST(Synthetic, TheSameSeedGivesTheSameBytesEverywhere) {
    // Frozen: whoever changes the grammar raises grammar_version (synthetic.cpp) and these.
    EXPECT_EQ(hexadecimal(fingerprint(many("english", 50))), "12c0c9a21819fb1e");
    EXPECT_EQ(hexadecimal(fingerprint(many("chinese", 50))), "9e157be5ffcf68c5");
}

TEST(Synthetic, DocumentsDifferByNumberAndSeed) {
    for (const char* language : {"english", "chinese"}) {
        std::set<std::string> documents;
        for (std::uint32_t i = 0; i < 500; ++i) documents.insert(synthetic_document(language, 1, i));
        EXPECT_EQ(documents.size(), 500U);
        EXPECT_NE(synthetic_document(language, 1, 0), synthetic_document(language, 2, 0));
    }
    EXPECT_TRUE(contains(message_of<DataError>([] { synthetic_document("latin", 1, 0); }), "english or chinese"));
}

TEST(Synthetic, TextIsValidUtf8InParagraphsWithoutBlankLines) {
    for (const char* language : {"english", "chinese"}) {
        for (std::uint32_t i = 0; i < 200; ++i) {
            const std::string document = synthetic_document(language, 1, i);
            EXPECT_EQ(first_invalid_utf8(document), document.size());
            EXPECT_FALSE(contains(document, "\n\n") || contains(document, "  "));
            EXPECT_GE(std::count(document.begin(), document.end(), '\n'), 2);
            EXPECT_NE(document.front(), '\n');
            EXPECT_NE(document.back(), '\n');
        }
    }
}

TEST(Synthetic, EnglishHasAWideVocabularyAndTheSentencesOfTheNotes) {
    const std::string text = many("english", 3000);
    std::set<std::string> words;
    std::istringstream in(text);
    for (std::string word; in >> word;) words.insert(word);
    EXPECT_GT(words.size(), 1500U);
    // "a new store opened beside the new mall", in pieces that a few thousand documents have
    EXPECT_GT(occurrences(text, "new store opened"), 0);
    EXPECT_GT(occurrences(text, "opened beside the new "), 5);
    EXPECT_GT(occurrences(text, "the new mall"), 3);
    EXPECT_GT(occurrences(text, "cat sat on the "), 0);
    EXPECT_GT(occurrences(text, "on the mat."), 3);
}

TEST(Synthetic, EnglishArticlesAndVerbsAgree) {
    const std::string text = many("english", 1000);
    for (const char* wrong :
         {" a apple", " a old", " an new", " a orange", " there is two", "There are a ", "  ", " ,", " ."}) {
        EXPECT_EQ(occurrences(text, wrong), 0) << wrong;
    }
    // The head decides, whatever stands between: its number is seen from the verb in the answer.
    EXPECT_EQ(occurrences(text, "? It are"), 0);
    EXPECT_EQ(occurrences(text, "? They is"), 0);
    EXPECT_GT(occurrences(text, "? They are"), 50);
    EXPECT_GT(occurrences(text, "? It is"), 50);
    for (std::size_t at = text.find("Where is "); at != std::string::npos; at = text.find("Where is ", at + 1)) {
        EXPECT_EQ(text.substr(text.find("? ", at), 8), "? It is ");
    }
}

TEST(Synthetic, EnglishAdjectivesStandInTheirOrder) {
    const std::string text = many("english", 1000);
    EXPECT_GT(occurrences(text, " small red ") + occurrences(text, " tiny red "), 5);
    for (const char* wrong :
         {" red small ", " wooden new ", " red old ", " iron blue ", " old big ", " green lovely "}) {
        EXPECT_EQ(occurrences(text, wrong), 0) << wrong;
    }
}

TEST(Synthetic, NamesComeBackInTheirDocument) {
    int returning = 0;
    for (std::uint32_t i = 0; i < 200; ++i) {
        const std::string document = synthetic_document("english", 1, i);
        returning += occurrences(document, document.substr(0, document.find(' '))) >= 3 ? 1 : 0;
    }
    EXPECT_GT(returning, 150);
}

TEST(Synthetic, SumsAreRight) {
    const std::string chinese = many("chinese", 1000);
    EXPECT_GT(occurrences(chinese, "一共"), 50);
    const std::string text = many("english", 2000);
    const std::string mark = "counted two ";
    int checked = 0;
    for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + 1)) {
        const std::string sentence = text.substr(at, text.find('.', at) - at);
        if (!contains(sentence, " and three ")) continue;
        EXPECT_TRUE(contains(sentence, ", five things in all")) << sentence;
        ++checked;
    }
    EXPECT_GT(checked, 0);
}

TEST(Synthetic, ChineseHasTheWordsOfTheNotesAndClassifiersThatFit) {
    const std::string text = many("chinese", 1000);
    for (const char* part : {"三楼你好", "你好，四楼", "楼主你好", "你好，楼主", "把那", "被", "新商店"}) {
        EXPECT_GT(occurrences(text, part), 3) << part;
    }
    for (const char* part :
         {"一家新开", "一只商店", "一本猫", "一二", "，，", "。。", "有二", "了二", "买二", "新新"}) {
        EXPECT_EQ(occurrences(text, part), 0) << part;
    }
    EXPECT_GT(occurrences(text, "两"), 50);
}

TEST(Synthetic, FilesHaveTheirSizeAndValidationIsOtherText) {
    const TemporaryFolder folder;
    SyntheticSettings settings;
    settings.megabytes = 1;
    const SyntheticFiles files = write_synthetic_corpus(settings, folder.path());
    const std::string train = contents(files.train), valid = contents(files.valid);
    EXPECT_GE(train.size(), 1'000'000U);
    EXPECT_LT(train.size(), 1'010'000U);
    EXPECT_GE(valid.size(), 50'000U);
    EXPECT_LT(valid.size(), 60'000U);
    std::set<std::string> documents;
    std::string document;
    const auto count = [&](std::string_view text, bool begins) {
        if (begins) documents.insert(std::exchange(document, ""));
        document += text;
    };
    const std::int64_t in_train = read_corpus({files.train}, {}, count).documents;
    const std::int64_t in_both = in_train + read_corpus({files.valid}, {}, count).documents;
    documents.insert(document);
    documents.erase("");
    EXPECT_EQ(static_cast<std::int64_t>(documents.size()), in_both);
}

TEST(Synthetic, FilesAreTheSameForAnyNumberOfThreads) {
    const TemporaryFolder folder;
    SyntheticSettings settings;
    settings.megabytes = 2;
    settings.language = "chinese";
    const int threads = omp_get_max_threads();
    std::set<std::string> texts;
    for (const int count : {1, 3, 8}) {
        omp_set_num_threads(count);
        texts.insert(contents(write_synthetic_corpus(settings, folder.path() / std::to_string(count)).train));
    }
    omp_set_num_threads(threads);
    EXPECT_EQ(texts.size(), 1U);
}

TEST(Synthetic, FilesAreFoundAgainAndADamagedOneIsWrittenAgain) {
    const TemporaryFolder folder;
    SyntheticSettings settings;
    settings.megabytes = 1;
    const SyntheticFiles files = write_synthetic_corpus(settings, folder.path());
    const auto time = std::filesystem::last_write_time(files.train);
    EXPECT_EQ(write_synthetic_corpus(settings, folder.path()).train, files.train);
    EXPECT_EQ(std::filesystem::last_write_time(files.train), time);
    const std::string intact = contents(files.valid);
    std::string altered = intact;
    altered[100] ^= 1;
    std::ofstream(files.valid, std::ios::binary) << altered;
    write_synthetic_corpus(settings, folder.path());
    EXPECT_EQ(contents(files.valid), intact);
    std::filesystem::remove(files.train);
    write_synthetic_corpus(settings, folder.path());
    EXPECT_TRUE(std::filesystem::exists(files.train));
    settings.seed = 2;
    EXPECT_NE(write_synthetic_corpus(settings, folder.path()).train, files.train);
    EXPECT_EQ(count_named(folder.path(), "partial"), 0);
}

TEST(Synthetic, AFullDiskIsASystemErrorAndLeavesNothingBehind) {
    const SmallDisk disk(1'000'000);
    SyntheticSettings settings;
    settings.megabytes = 3;
    try {
        write_synthetic_corpus(settings, disk.folder());
        FAIL() << "nothing was thrown";
    } catch (const std::system_error& error) {
        EXPECT_TRUE(error.code().value() == ENOSPC || error.code().value() == EFBIG) << error.what();
    }
    EXPECT_EQ(count_named(disk.folder(), "synthetic"), 0);
}

TEST(Synthetic, SettingsOutOfRangeAreRefused) {
    const TemporaryFolder folder;
    SyntheticSettings settings;
    settings.megabytes = 0;
    EXPECT_THROW(write_synthetic_corpus(settings, folder.path()), DataError);
    settings.megabytes = 1;
    settings.language = "latin";
    EXPECT_THROW(write_synthetic_corpus(settings, folder.path()), DataError);
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace locus
