#include "data/token_shards.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <omp.h>
#include <sys/wait.h>

#include <nlohmann/json.hpp>
#include <system_error>

#include "data/atomic_folder.h"
#include "data/corpus_warnings.h"
#include "data/error.h"
#include "data/shard_writer.h"
#include "data/unigram_entropy.h"
#include "tests/data/fake_tokenizer.h"
#include "tests/data/files.h"

namespace locus {
namespace {

/// Documents of a few paragraphs, about `bytes` in all.
std::string sample_text(std::size_t bytes) {
    std::string text;
    for (int line = 0; text.size() < bytes; ++line) {
        for (int word = 0; word < 5 + line % 37; ++word) text += "word" + std::to_string(line * 31 + word) + " ";
        text += line % 5 == 4 ? "\n\n" : "\n";
    }
    return text;
}

std::vector<std::int32_t> all_tokens(const TokenShards& shards) {
    std::vector<std::int32_t> ids;
    shards.read(0, shards.tokens(), ids);
    return ids;
}

/// The names and contents of a folder's files.
std::map<std::string, std::string> files_of(const std::filesystem::path& folder) {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        files[entry.path().filename().string()] = contents(entry.path());
    }
    return files;
}

class Shards : public ::testing::Test {
protected:
    std::filesystem::path prepare(const std::string& text, const Tokenizer& tokenizer,
                                  const std::string& cache = "cache") {
        return prepare_shards({folder_.write("text.txt", text)}, {}, tokenizer, folder_.path() / cache);
    }
    std::filesystem::path write_small(std::int64_t in_a_file, std::int32_t vocab_size, std::vector<std::int32_t> ids) {
        const auto place = folder_.path() / "small";
        std::filesystem::create_directories(place);
        ShardWriter writer(place, vocab_size, 1, in_a_file);
        writer.add(ids);
        writer.finish({});
        return place;
    }
    std::string open_error(const std::filesystem::path& place, std::int32_t vocab_size = 1000) {
        return message_of<DataError>([&] { TokenShards(place, vocab_size); });
    }
    TemporaryFolder folder_;
};

TEST_F(Shards, HoldTheTokensOfEachDocumentInOrder) {
    const FakeTokenizer tokenizer;
    const TokenShards shards(prepare("alpha beta\ngamma\n\ndelta epsilon zeta\n", tokenizer), tokenizer.vocab_size());
    std::vector<std::int32_t> first, second;
    tokenizer.encode("alpha beta", first);
    tokenizer.encode("gamma", first);
    tokenizer.encode("delta epsilon zeta", second);
    ASSERT_EQ(shards.documents(), 2);
    const auto starts = shards.document_starts();
    EXPECT_EQ(std::vector<std::uint64_t>(starts.begin(), starts.end()),
              (std::vector<std::uint64_t>{0, first.size(), first.size() + second.size()}));
    first.insert(first.end(), second.begin(), second.end());
    EXPECT_EQ(all_tokens(shards), first);
    EXPECT_EQ(shards.statistics().paragraphs, 3);
    EXPECT_EQ(shards.statistics().documents, 2);
    std::vector<std::int32_t> part = {7};
    shards.read(1, 3, part);
    EXPECT_EQ(part, (std::vector<std::int32_t>{7, first[1], first[2]}));
    EXPECT_THROW(shards.read(0, shards.tokens() + 1, part), std::out_of_range);
    EXPECT_THROW(shards.read(-1, 1, part), std::out_of_range);
}

TEST_F(Shards, AreTheSameBytesForAnyNumberOfThreads) {
    const FakeTokenizer tokenizer;
    const std::string text = sample_text(3'000'000);
    const int threads = omp_get_max_threads();
    std::map<std::string, std::string> reference;
    for (const int count : {1, 2, 5, 16}) {
        omp_set_num_threads(count);
        const auto files = files_of(prepare(text, tokenizer, "cache" + std::to_string(count)));
        if (reference.empty()) reference = files;
        EXPECT_TRUE(files == reference) << count << " threads";
    }
    omp_set_num_threads(threads);
    EXPECT_EQ(reference.size(), 3U);
    EXPECT_GT(reference.at("tokens-00000.bin").size(), 500'000U);
}

TEST_F(Shards, AreFoundAgainAndMadeAnewForOtherTextOrTokenizer) {
    const auto first = prepare("alpha beta gamma\n", FakeTokenizer(1000));
    const auto time = std::filesystem::last_write_time(first / "index.json");
    EXPECT_EQ(prepare("alpha beta gamma\n", FakeTokenizer(1000)), first);
    EXPECT_EQ(std::filesystem::last_write_time(first / "index.json"), time);
    EXPECT_NE(prepare("alpha beta delta\n", FakeTokenizer(1000)), first);
    EXPECT_NE(prepare("alpha beta gamma\n", FakeTokenizer(2000)), first);
}

TEST_F(Shards, TakeTwoBytesPerTokenUpTo65536EntriesAndFourAbove) {
    const auto narrow = write_small(100, 65536, {5, 65535});
    EXPECT_EQ(std::filesystem::file_size(narrow / "tokens-00000.bin"), 4U);
    EXPECT_EQ(all_tokens(TokenShards(narrow, 65536)), (std::vector<std::int32_t>{5, 65535}));
    std::filesystem::remove_all(narrow);
    const auto wide = write_small(100, 65537, {5, 65536});
    EXPECT_EQ(std::filesystem::file_size(wide / "tokens-00000.bin"), 8U);
    EXPECT_EQ(all_tokens(TokenShards(wide, 65537)), (std::vector<std::int32_t>{5, 65536}));
}

TEST_F(Shards, ReadAcrossFiles) {
    std::vector<std::int32_t> ids(25);
    for (int i = 0; i < 25; ++i) ids[static_cast<std::size_t>(i)] = 5 + i;
    const auto place = write_small(10, 100, ids);
    EXPECT_EQ(count_named(place, "tokens-"), 3);
    const TokenShards shards(place, 100);
    for (std::int64_t begin = 0; begin <= 25; ++begin) {
        for (std::int64_t end = begin; end <= 25; ++end) {
            std::vector<std::int32_t> part;
            shards.read(begin, end, part);
            EXPECT_EQ(part, std::vector<std::int32_t>(ids.begin() + begin, ids.begin() + end));
        }
    }
}

TEST_F(Shards, DocumentsWithoutTokensLeaveNoTrace) {
    const auto place = folder_.path() / "small";
    std::filesystem::create_directories(place);
    ShardWriter writer(place, 100, 1);
    const std::vector<std::int32_t> ids = {5, 6};
    writer.begin_document();
    writer.add(ids);
    writer.begin_document();
    writer.begin_document();
    writer.add(ids);
    writer.begin_document();
    writer.finish({});
    EXPECT_EQ(TokenShards(place, 100).documents(), 2);
}

TEST_F(Shards, RefuseAVocabularyThatLacksTheirIds) {
    const auto place = write_small(10, 100, {5, 60});
    const std::string message = open_error(place, 60);
    EXPECT_TRUE(contains(message, "token id 60") && contains(message, "60 entries")) << message;
    EXPECT_EQ(TokenShards(place, 61).tokens(), 2);
    ShardWriter writer(place, 100, 1);
    EXPECT_THROW(writer.add(std::vector<std::int32_t>{100}), std::out_of_range);
    EXPECT_THROW(writer.add(std::vector<std::int32_t>{-1}), std::out_of_range);
}

TEST_F(Shards, EveryFlippedBitIsFoundAndTheRemedyNamed) {
    const auto place = write_small(10, 100, {5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16});
    for (const auto& [name, intact] : files_of(place)) {
        const bool index = name == "index.json";
        for (std::size_t byte = 0; byte < intact.size(); byte += index ? 1 : 3) {
            std::string flipped = intact;
            flipped[byte] = static_cast<char>(flipped[byte] ^ (1 << byte % 7));
            // White space between the entries of the index means nothing, so it may change into other white space.
            if (index && nlohmann::json::parse(flipped, nullptr, false) == nlohmann::json::parse(intact)) continue;
            folder_.write("small/" + name, flipped);
            const std::string message = open_error(place, 100);
            EXPECT_TRUE(contains(message, "delete the folder " + place.string()))
                << name << " byte " << byte << ": " << message;
            EXPECT_TRUE(contains(message, place.string() + "/")) << message;
        }
        folder_.write("small/" + name, intact);
    }
    EXPECT_EQ(TokenShards(place, 100).tokens(), 12);
}

TEST_F(Shards, TruncatedOrMissingFilesAreFound) {
    const auto place = write_small(10, 100, {5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16});
    for (const auto& [name, intact] : files_of(place)) {
        folder_.write("small/" + name, intact.substr(0, intact.size() - 2));
        EXPECT_TRUE(contains(open_error(place), name));
        std::filesystem::remove(place / name);
        EXPECT_TRUE(contains(open_error(place), name));
        folder_.write("small/" + name, intact);
    }
}

TEST_F(Shards, OfAnotherVersionAreRefused) {
    const auto place = write_small(10, 100, {5, 6});
    std::string index = contents(place / "index.json");
    index.replace(index.find("\"version\": 1"), 12, "\"version\": 9");
    folder_.write("small/index.json", index);
    EXPECT_TRUE(contains(open_error(place), "version 9"));
}

TEST_F(Shards, AnInterruptedPreparationIsMadeAnew) {
    const FakeTokenizer tokenizer;
    const std::string text = sample_text(100'000);
    const auto place = prepare(text, tokenizer);
    const auto intact = files_of(place);
    std::filesystem::remove(place / "index.json");
    std::filesystem::resize_file(place / "tokens-00000.bin", 10);
    EXPECT_THROW(TokenShards(place, 1000), DataError);
    EXPECT_EQ(prepare(text, tokenizer), place);
    EXPECT_TRUE(files_of(place) == intact);
}

TEST_F(Shards, AFailingPreparationLeavesNothingBehind) {
    const FakeTokenizer tokenizer;
    std::string text = sample_text(2'000'000);
    EXPECT_THROW(prepare(text + "\xFF\n", tokenizer), DataError);
    EXPECT_EQ(count_named(folder_.path() / "cache", "partial"), 0);
    const auto file = folder_.write("text.txt", text);
    const auto cancel = [](std::string_view, std::int64_t, std::int64_t) { throw std::logic_error("cancelled"); };
    EXPECT_THROW(prepare_shards({file}, {}, tokenizer, folder_.path() / "cache", cancel), std::logic_error);
    EXPECT_EQ(count_named(folder_.path() / "cache", "partial"), 0);
}

class FailingTokenizer : public FakeTokenizer {
public:
    void encode(std::string_view text, std::vector<std::int32_t>& ids) const override {
        if (contains(text, "word31000")) throw std::runtime_error("cannot encode this");
        FakeTokenizer::encode(text, ids);
    }
};

TEST_F(Shards, WhatTheTokenizerThrowsArrives) {
    EXPECT_EQ(message_of<std::runtime_error>([&] { prepare(sample_text(2'000'000), FailingTokenizer()); }),
              "cannot encode this");
    EXPECT_EQ(count_named(folder_.path() / "cache", "partial"), 0);
}

class SilentTokenizer : public FakeTokenizer {
public:
    void encode(std::string_view, std::vector<std::int32_t>&) const override {}
};

TEST_F(Shards, TextWithoutTokensIsADataError) {
    EXPECT_TRUE(contains(message_of<DataError>([&] { prepare("alpha\n", SilentTokenizer()); }), "not a single token"));
}

TEST_F(Shards, AFullDiskIsASystemErrorAndLeavesNothingBehind) {
    const auto file = folder_.write("text.txt", sample_text(8'000'000));
    const SmallDisk disk(1'000'000);
    try {
        prepare_shards({file}, {}, FakeTokenizer(), disk.folder() / "cache");
        FAIL() << "nothing was thrown";
    } catch (const std::system_error& error) {
        EXPECT_TRUE(error.code().value() == ENOSPC || error.code().value() == EFBIG) << error.what();
        EXPECT_TRUE(contains(error.what(), "tokens-00000.bin")) << error.what();
    }
    EXPECT_EQ(count_named(disk.folder() / "cache", "partial"), 0);
    EXPECT_EQ(count_named(disk.folder() / "cache", "lock"), 1);
}

/// Runs `work` in a process of its own.
template <typename Work>
pid_t in_process(const Work& work) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    try {
        work();
    } catch (...) {
        ::_exit(1);
    }
    ::_exit(0);
}

TEST_F(Shards, ProcessesThatPrepareAtOnceAgree) {
    const auto source = folder_.write("text.txt", sample_text(300'000)), cache = folder_.path() / "cache";
    std::vector<pid_t> children;
    for (int i = 0; i < 6; ++i) {
        children.push_back(in_process([&] {
            // Threads of the parent's OpenMP do not exist after fork(): this process starts none.
            omp_set_num_threads(1);
            const FakeTokenizer tokenizer;
            const TokenShards shards(prepare_shards({source}, {}, tokenizer, cache), tokenizer.vocab_size());
            if (shards.tokens() < 1000) throw std::runtime_error("too few");
        }));
    }
    for (const pid_t child : children) {
        int status = -1;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    }
    EXPECT_EQ(count_named(cache, "partial"), 0);
}

TEST_F(Shards, HalfMadeFoldersOfDeadProcessesAreRemovedAndThoseAtWorkAreNot) {
    const auto cache = folder_.path() / "cache";
    const pid_t child = in_process([&] {
        const AtomicFolder made(cache / "other", "index.json");
        OutputFile(made.folder() / "data.bin").write("half");
        ::_exit(0);  // as a process that is killed: no destructor runs
    });
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_EQ(count_named(cache, "other.partial"), 1);
    const AtomicFolder at_work(cache / "mine", "index.json");
    EXPECT_EQ(count_named(cache, "other.partial"), 0);
    prepare("alpha beta\n", FakeTokenizer());
    EXPECT_EQ(count_named(cache, "mine.partial"), 1);
}

TEST_F(Shards, TheCacheFolderFollowsTheEnvironment) {
    const auto variable = [](const char* name) {
        const char* value = std::getenv(name);
        return value == nullptr ? std::optional<std::string>() : value;
    };
    const auto old_cache = variable("LOCUS_CACHE"), old_xdg = variable("XDG_CACHE_HOME"), old_home = variable("HOME");
    ::setenv("LOCUS_CACHE", "/one", 1);
    ::setenv("XDG_CACHE_HOME", "/two", 1);
    ::setenv("HOME", "/three", 1);
    EXPECT_EQ(cache_folder(), "/one");
    ::unsetenv("LOCUS_CACHE");
    EXPECT_EQ(cache_folder(), "/two/locus");
    ::unsetenv("XDG_CACHE_HOME");
    EXPECT_EQ(cache_folder(), "/three/.cache/locus");
    ::unsetenv("HOME");
    EXPECT_THROW(cache_folder(), DataError);
    if (old_cache) ::setenv("LOCUS_CACHE", old_cache->c_str(), 1);
    if (old_xdg) ::setenv("XDG_CACHE_HOME", old_xdg->c_str(), 1);
    if (old_home) ::setenv("HOME", old_home->c_str(), 1);
}

TEST_F(Shards, TheUnigramEntropyIsThatOfTheFrequencies) {
    const auto entropy = [&](const std::string& text) {
        const FakeTokenizer tokenizer(1000, false);
        const auto place = prepare_shards({folder_.write("text.txt", text)}, {}, tokenizer, folder_.path() / "cache");
        return unigram_entropy(TokenShards(place, tokenizer.vocab_size()));
    };
    EXPECT_EQ(entropy("same same same\n"), 0.0);
    EXPECT_NEAR(entropy("one two\n\ntwo one\n"), std::log(2.0), 1e-15);
    EXPECT_NEAR(entropy("a a b c\n"), 1.5 * std::log(2.0), 1e-15);  // 1/2, 1/4, 1/4
}

class Warnings : public Shards {
protected:
    std::string of(const std::string& text, const FakeTokenizer& tokenizer = FakeTokenizer(),
                   const DataSettings& settings = {}) {
        const auto place =
            prepare_shards({folder_.write("text.txt", text)}, settings, tokenizer, folder_.path() / "cache");
        std::string all;
        for (const std::string& w : corpus_warnings(TokenShards(place, tokenizer.vocab_size()), tokenizer, settings))
            all += w + "\n";
        return all;
    }
};

TEST_F(Warnings, NameWhatIsOddAboutDocuments) {
    std::string together, apart;
    for (int i = 0; i < 200; ++i) {
        together += "line " + std::to_string(i) + "\n";
        apart += "line " + std::to_string(i) + "\n\n";
    }
    EXPECT_EQ(of(sample_text(50'000)), "");
    EXPECT_TRUE(contains(of(together), "no blank line: its 200 paragraphs are one document of 400 tokens"));
    EXPECT_TRUE(contains(of(apart), "200 documents, median length 2 tokens"));
}

TEST_F(Warnings, NameRepetitionAndReplacement) {
    std::string text;
    for (int i = 0; i < 100; ++i) text += "the same line\n";
    EXPECT_TRUE(contains(of(text), "99.0 % of the 100 paragraphs"));
    DataSettings settings;
    settings.invalid_utf8 = "replace";
    EXPECT_TRUE(contains(of("a\xFF b\n", FakeTokenizer(), settings), "1 invalid byte sequences"));
    settings.invalid_utf8 = "skip_line";
    EXPECT_TRUE(contains(of("a\xFF b\nc\n", FakeTokenizer(), settings), "1 lines were skipped"));
}

TEST_F(Warnings, NameWholeWordMaskingWithoutWords) {
    DataSettings settings;
    settings.masking.unit = "whole_word";
    EXPECT_TRUE(contains(of("alphabet soup\n", FakeTokenizer(1000, false), settings), "whole_word"));
    EXPECT_EQ(of("alphabet soup\n", FakeTokenizer(), settings), "");
}

}  // namespace
}  // namespace locus
