#include "data/corpus.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>

#include "data/duplicates.h"
#include "data/error.h"
#include "data/utf8.h"
#include "tests/data/files.h"

namespace locus {
namespace {

using Paths = std::vector<std::filesystem::path>;

struct Read {
    std::vector<std::string> paragraphs;  // "*" before the first of a document
    CorpusStatistics statistics;
};

Read read(const Paths& files, const DataSettings& settings = {}) {
    Read result;
    result.statistics = read_corpus(files, settings, [&](std::string_view text, bool begins) {
        result.paragraphs.push_back((begins ? "*" : "") + std::string(text));
    });
    return result;
}

std::string error_of(const Paths& files, const DataSettings& settings = {}) {
    return message_of<DataError>([&] { read(files, settings); });
}

class Corpus : public ::testing::Test {
protected:
    Read read_text(std::string_view text, const DataSettings& settings = {}, const std::string& name = "a.txt") {
        return read({folder_.write(name, text)}, settings);
    }
    std::string error_of_text(std::string_view text, const DataSettings& settings = {},
                              const std::string& name = "a.txt") {
        return error_of({folder_.write(name, text)}, settings);
    }
    TemporaryFolder folder_;
};

using Expected = std::vector<std::string>;

TEST_F(Corpus, BlankLinesSeparateDocuments) {
    const Read got = read_text("one\ntwo\n\n\n  \t\nthree\n");
    EXPECT_EQ(got.paragraphs, (Expected{"*one", "two", "*three"}));
    EXPECT_EQ(got.statistics.documents, 2);
    EXPECT_EQ(got.statistics.paragraphs, 3);
    EXPECT_EQ(got.statistics.bytes, 11);
}

TEST_F(Corpus, EachFileBeginsADocument) {
    const Read got = read({folder_.write("a.txt", "one"), folder_.write("b.txt", "two")});
    EXPECT_EQ(got.paragraphs, (Expected{"*one", "*two"}));
}

TEST_F(Corpus, CrLfAndLoneCrAreLineEnds) {
    const Expected expected = {"*one", "two", "*three"};
    EXPECT_EQ(read_text("one\ntwo\n\nthree").paragraphs, expected);
    EXPECT_EQ(read_text("one\r\ntwo\r\n\r\nthree\r\n").paragraphs, expected);
    EXPECT_EQ(read_text("one\rtwo\r\rthree\r").paragraphs, expected);
    EXPECT_EQ(read_text("one\ntwo\r\n\rthree").paragraphs, expected);
}

TEST_F(Corpus, CrLfAcrossTheEdgeOfAReadIsOneLineEnd) {
    for (std::size_t length = (1U << 18U) - 2; length <= (1U << 18U) + 1; ++length) {
        const std::string long_line(length, 'x');
        EXPECT_EQ(read_text(long_line + "\r\nsecond\r\n").paragraphs, (Expected{"*" + long_line, "second"})) << length;
    }
}

TEST_F(Corpus, ByteOrderMarkIsDroppedAndOtherSpacesStay) {
    EXPECT_EQ(read_text("\xEF\xBB\xBFone\xE2\x80\xA8two\xC2\x85three\xC2\xA0"
                        "four\xE2\x80\x8B five\t six")
                  .paragraphs,
              (Expected{"*one\xE2\x80\xA8two\xC2\x85three\xC2\xA0"
                        "four\xE2\x80\x8B five\t six"}));
}

TEST_F(Corpus, TextWithoutAnyParagraphIsAnErrorWithCounts) {
    EXPECT_TRUE(contains(error_of_text(""), "no text in 1 file of 0 bytes"));
    EXPECT_TRUE(contains(error_of_text("\n\n\n"), "of 3 bytes"));
    EXPECT_TRUE(contains(error_of_text("  \n \t\n"), "blank"));
    EXPECT_TRUE(contains(error_of_text("\xEF\xBB\xBF"), "blank"));
}

TEST_F(Corpus, AnEmptyFileAmongOthersGivesNothing) {
    EXPECT_EQ(read({folder_.write("a.txt", ""), folder_.write("b.txt", "one")}).paragraphs, (Expected{"*one"}));
}

TEST_F(Corpus, OneWordWithoutAFinalLineEndIsText) { EXPECT_EQ(read_text("word").paragraphs, (Expected{"*word"})); }

TEST_F(Corpus, InvalidUtf8IsNamedWithFileLineAndByte) {
    const std::string at_start = error_of_text("\xFFone\ntwo\n");
    EXPECT_TRUE(contains(at_start, "a.txt:1: byte 1 of the line (byte 1 of the file), 0xFF")) << at_start;
    const std::string in_middle = error_of_text("one\r\ntwo\n\nth\xC0ree\n");
    EXPECT_TRUE(contains(in_middle, "a.txt:4: byte 3 of the line (byte 13 of the file), 0xC0")) << in_middle;
    EXPECT_TRUE(contains(in_middle, "data.invalid_utf8")) << in_middle;
    const std::string cut_off = error_of_text("one\ncaf\xC3");
    EXPECT_TRUE(contains(cut_off, "a.txt:2: byte 4 of the line (byte 8 of the file), 0xC3")) << cut_off;
}

TEST_F(Corpus, ACharacterAcrossTheEdgeOfAReadIsValidAndAnErrorThereIsFound) {
    const std::string line = std::string((1U << 18U) - 1, 'x') + "\n";
    std::string text = line.substr(1) + "\xE4\xBD\xA0\n";  // the edge lies within the character
    EXPECT_EQ(read_text(text).paragraphs.back(), "\xE4\xBD\xA0");
    text[text.size() - 2] = 'x';
    EXPECT_TRUE(contains(error_of_text(text), "a.txt:2: byte 1 of the line (byte 262144 of the file), 0xE4"));
}

TEST_F(Corpus, InvalidUtf8CanBeReplacedOrSkipped) {
    DataSettings settings;
    settings.invalid_utf8 = "replace";
    const Read replaced = read_text("one\nt\xFFwo\xE4\xBD\n", settings);
    EXPECT_EQ(replaced.paragraphs, (Expected{"*one", "t\xEF\xBF\xBDwo\xEF\xBF\xBD"}));
    EXPECT_EQ(replaced.statistics.replaced_sequences, 2);
    settings.invalid_utf8 = "skip_line";
    const Read skipped = read_text("one\nt\xFFwo\nthree\n", settings);
    EXPECT_EQ(skipped.paragraphs, (Expected{"*one", "three"}));
    EXPECT_EQ(skipped.statistics.skipped_lines, 1);
    EXPECT_TRUE(contains(error_of_text("\xFF\n", settings), "1, invalid UTF-8"));
}

TEST_F(Corpus, ZeroBytesDeepInTheFileFollowThePolicy) {
    const std::string text = std::string(5000, 'x') + "\none" + std::string(1, '\0') + "two\n";
    EXPECT_TRUE(contains(error_of_text(text), "a.txt:2: byte 4 of the line (byte 5005 of the file), 0x00"));
    DataSettings settings;
    settings.invalid_utf8 = "replace";
    EXPECT_EQ(read_text(text, settings).paragraphs.back(), "one\xEF\xBF\xBDtwo");
}

TEST_F(Corpus, Latin1IsRecognised) {
    EXPECT_TRUE(contains(error_of_text("un caf\xE9 noir\n"), "iconv -f WINDOWS-1252"));
    EXPECT_FALSE(contains(error_of_text("un caf\xE9 noir\n"), "gb18030"));
}

// 你好，世界。今天天气很好。 in GB18030
constexpr const char* greeting_gb = "\xC4\xE3\xBA\xC3\xA3\xAC\xCA\xC0\xBD\xE7\xA1\xA3\xBD\xF1\xCC\xEC";
constexpr const char* greeting_utf8 = "你好，世界。今天";

TEST_F(Corpus, Gb18030IsRecognisedAndRead) {
    const std::string message = error_of_text(std::string(greeting_gb) + "\n");
    EXPECT_TRUE(contains(message, "set data.encoding: gb18030")) << message;
    DataSettings settings;
    settings.encoding = "gb18030";
    EXPECT_EQ(read_text(std::string(greeting_gb) + "\nabc\n\n" + greeting_gb, settings).paragraphs,
              (Expected{std::string("*") + greeting_utf8, "abc", std::string("*") + greeting_utf8}));
    // a character of four bytes, U+1F600
    EXPECT_EQ(read_text("\x94\x39\xFC\x36", settings).paragraphs, (Expected{"*\xF0\x9F\x98\x80"}));
    EXPECT_TRUE(contains(error_of_text("abc\n\xC4\xE3\xFF\n", settings), "a.txt:2: byte 3 of the line (byte 7"));
    settings.invalid_utf8 = "replace";
    EXPECT_EQ(read_text("\xC4\xE3\xFFx\xBA", settings).paragraphs, (Expected{"*你\xEF\xBF\xBDx\xEF\xBF\xBD"}));
}

TEST_F(Corpus, Utf8GivenAsGb18030IsRefused) {
    DataSettings settings;
    settings.encoding = "gb18030";
    EXPECT_TRUE(contains(error_of_text(greeting_utf8, settings), "set data.encoding: utf8"));
    EXPECT_TRUE(contains(error_of_text("\xEF\xBB\xBFplain", settings), "set data.encoding: utf8"));
}

TEST_F(Corpus, OtherFormatsAreNamed) {
    const auto names = [&](std::string_view head, std::string_view format) {
        const std::string message = error_of_text(std::string(head) + "rest of the file");
        EXPECT_TRUE(contains(message, format) && contains(message, "a.txt: is ")) << message;
    };
    names("\x1F\x8B\x08", "gzip");
    names("PK\x03\x04", "zip");
    names("%PDF-1.7", "PDF");
    names(
        "\x7F"
        "ELF",
        "ELF");
    names("\x28\xB5\x2F\xFD", "zstd");
    names("BZh9", "bzip2");
    names(std::string_view("\xFD"
                           "7zXZ\0",
                           6),
          "xz");
    names("\x89PNG", "PNG");
    names("PAR1\x15", "Parquet");
    names(std::string("ab\0cd\x01", 6), "binary data");
    names(std::string("\xFF\xFEo\0n\0e\0", 8), "UTF-16");
    names(std::string("\xFE\xFF\0o\0n\0e", 8), "UTF-16");
    EXPECT_TRUE(contains(error_of_text(std::string("o\0n\0e\0 \0t\0w\0o\0", 14)), "UTF-16LE"));
    EXPECT_TRUE(contains(error_of_text(std::string("\0o\0n\0e\0 \0t\0w\0o", 14)), "UTF-16BE"));
    EXPECT_TRUE(contains(error_of_text("[]", {}, "a.json"), ".jsonl"));
}

TEST_F(Corpus, ZstdIsUnpackedOnTheWay) {
    std::string text;
    for (int i = 0; i < 100000; ++i) text += "line " + std::to_string(i) + "\n";
    const Read plain = read_text(text);
    EXPECT_EQ(read_text(zstd_frame(text), {}, "a.txt.zst").paragraphs, plain.paragraphs);
    // several frames, and a skippable one between
    const std::string two = zstd_frame(text.substr(0, 1000)) + std::string("\x50\x2A\x4D\x18\x03\0\0\0abc", 11) +
                            zstd_frame(text.substr(1000));
    EXPECT_EQ(read_text(two, {}, "b.txt.zst").paragraphs, plain.paragraphs);
}

TEST_F(Corpus, ZstdWindowsOf128MegabytesAreAccepted) {
    EXPECT_EQ(read_text(zstd_frame("one\n", 27), {}, "a.txt.zst").paragraphs, (Expected{"*one"}));
    const std::string message = error_of_text(zstd_frame("one\n", 28), {}, "a.txt.zst");
    EXPECT_TRUE(contains(message, "window")) << message;
}

TEST_F(Corpus, DamagedZstdIsADataError) {
    std::string text;
    for (int i = 0; i < 20000; ++i) text += "line " + std::to_string(i * 7919) + "\n";
    const std::string packed = zstd_frame(text);
    for (const std::size_t length : {std::size_t{0}, std::size_t{2}, packed.size() / 2, packed.size() - 1}) {
        const std::string message = error_of_text(packed.substr(0, length), {}, "a.txt.zst");
        EXPECT_TRUE(contains(message, "cut off") && contains(message, "a.txt.zst")) << length << message;
    }
    std::string flipped = packed;
    flipped[packed.size() / 2] ^= 1;
    EXPECT_TRUE(contains(error_of_text(flipped, {}, "a.txt.zst"), "cannot be unpacked"));
    EXPECT_TRUE(contains(error_of_text("plain text", {}, "a.txt.zst"), "is not a zstd file"));
    EXPECT_TRUE(contains(error_of_text("\x1F\x8B\x08 text", {}, "a.txt.zst"), "gzip"));
}

TEST_F(Corpus, RowsOfJsonLinesAreDocuments) {
    const Read got = read_text(
        "{\"text\": \"one\\ntwo\\n\\nthree\", \"id\": 1}\n\n{\"text\": \"\"}\r\n{\"id\": 2, \"text\": \"f\\u00fcnf\"}",
        {}, "a.jsonl");
    EXPECT_EQ(got.paragraphs, (Expected{"*one", "two", "three", "*f\xC3\xBCnf"}));
    EXPECT_EQ(got.statistics.documents, 2);
    DataSettings settings;
    settings.field = "body";
    EXPECT_EQ(read_text(zstd_frame("{\"body\": \"x\"}\n"), settings, "b.jsonl.zst").paragraphs, (Expected{"*x"}));
}

TEST_F(Corpus, WrongRowsOfJsonLinesAreNamed) {
    const auto error = [&](std::string_view text) { return error_of_text(text, {}, "a.jsonl"); };
    EXPECT_TRUE(contains(error("{\"text\": \"x\"}\n{\"text\": \n"), "a.jsonl:2: byte "));
    EXPECT_TRUE(contains(error("[1]\n"), "a.jsonl:1: the row is array"));
    EXPECT_TRUE(contains(error("{\"body\": \"x\", \"id\": 1}\n"), "no field \"text\"; it has: body, id"));
    EXPECT_TRUE(contains(error("{\"text\": 7}\n"), "is number"));
    EXPECT_TRUE(contains(error("{\"text\": \"\\ud800\"}\n"), "a.jsonl:1: byte "));
    EXPECT_TRUE(contains(error("{\"text\": \"\xFF\"}\n"), "0xFF"));
}

// 64 MB in one line and one word: pieces of at most 1 MiB, in order, without loss, in memory far below the line's size.
TEST_F(Corpus, AVeryLongLineComesInPiecesInBoundedMemory) {
    const std::string unit = "\xE4\xBD\xA0\xE5\xA5\xBD";  // no white space at all
    const std::size_t copies = 64'000'000 / unit.size();
    {
        std::ofstream out(folder_.path() / "long.txt", std::ios::binary);
        for (std::size_t i = 0; i < copies; ++i) out << unit;
    }
    rusage before{};
    ::getrusage(RUSAGE_SELF, &before);
    std::size_t bytes = 0, longest = 0, shortest = SIZE_MAX, invalid = 0, firsts = 0;
    read_corpus({folder_.path() / "long.txt"}, {}, [&](std::string_view text, bool begins) {
        bytes += text.size();
        longest = std::max(longest, text.size());
        shortest = std::min(shortest, text.size());
        invalid += first_invalid_utf8(text) == text.size() ? 0 : 1;
        firsts += begins ? 1 : 0;
    });
    rusage after{};
    ::getrusage(RUSAGE_SELF, &after);
    EXPECT_EQ(bytes, copies * unit.size());
    EXPECT_EQ(invalid, 0U);
    EXPECT_EQ(firsts, 1U);
    EXPECT_LE(longest, 1U << 20U);
    EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 16 * 1024) << "KiB more at the peak";
}

TEST_F(Corpus, LongLinesAreCutAtWhiteSpaceAndLinesGoOnBeingCounted) {
    std::string text;
    while (text.size() < 3'000'000) text += "word ";
    const Read got = read_text(text + "\nnext\n\n" + text + "\n");
    std::string joined;
    for (std::size_t i = 0; i + 1 < 4; ++i) {
        joined += got.paragraphs[i];
        EXPECT_EQ(got.paragraphs[i].back(), ' ');
    }
    EXPECT_EQ(joined, "*" + text);
    EXPECT_EQ(got.paragraphs[3], "next");
    EXPECT_EQ(got.statistics.documents, 2);
    const std::string message = error_of_text(text + "\xFF\n");
    EXPECT_TRUE(contains(message, "a.txt:1: byte 3000001 of the line (byte 3000001 of the file)")) << message;
    EXPECT_TRUE(contains(error_of_text(text + "\nx\n\n\xFFy\n"), "a.txt:4: byte 1 "));
}

TEST_F(Corpus, AVeryLongRowOfJsonLinesIsCutToo) {
    std::string text;
    while (text.size() < 3'000'000) text += "\xE4\xBD\xA0";
    const Read got = read_text("{\"text\": \"" + text + "\"}\n", {}, "a.jsonl");
    std::string joined;
    for (const std::string& piece : got.paragraphs) joined += piece;
    EXPECT_EQ(got.paragraphs.size(), 3U);
    EXPECT_EQ(joined, "*" + text);
}

TEST_F(Corpus, RepeatedParagraphsAreCounted) {
    std::string text;
    for (int i = 0; i < 100; ++i) text += "the same line\n";
    EXPECT_EQ(read_text(text + "another\n").statistics.duplicate_paragraphs, 99);
}

TEST(Duplicates, AreEstimatedInBoundedMemoryAboveTheLimit) {
    Duplicates few(1000);  // sees 40,000 distinct paragraphs, each fourth of them three times
    for (int i = 0; i < 40000; ++i) {
        for (int copy = 0; copy < (i % 4 == 0 ? 3 : 1); ++copy) few.add("paragraph " + std::to_string(i));
    }
    // At least 500 distinct ones are sampled, so 125 of each fourth; three standard deviations are 27 %.
    EXPECT_NEAR(static_cast<double>(few.count()), 20000.0, 5400.0);
}

TEST_F(Corpus, PatternsAreExpandedAndSorted) {
    for (const char* name : {"b.txt", "a.txt", "C.txt", "d.md", "[1].txt"}) folder_.write(name, "x");
    std::filesystem::create_directory(folder_.path() / "sub.txt");
    const std::string base = folder_.path().string() + "/";
    EXPECT_EQ(expand_patterns({base + "d.md", base + "*.txt"}),
              (Paths{base + "d.md", base + "C.txt", base + "[1].txt", base + "a.txt", base + "b.txt"}));
    EXPECT_EQ(expand_patterns({base + "[1].txt"}), (Paths{base + "[1].txt"}));
    EXPECT_EQ(expand_patterns({base + "[ab].txt"}), (Paths{base + "a.txt", base + "b.txt"}));
    EXPECT_TRUE(contains(message_of<DataError>([&] { expand_patterns({base + "*.jsonl"}); }), "no file matches"));
    EXPECT_TRUE(contains(message_of<DataError>([&] { expand_patterns({base + "none.txt"}); }), "no such file"));
    EXPECT_TRUE(contains(error_of({base + "sub.txt"}), "is a folder"));
}

TEST_F(Corpus, FingerprintsKnowContentsKindAndSettings) {
    const auto a = folder_.write("a.txt", "one"), b = folder_.write("b.txt", "two"),
               rows = folder_.write("a.jsonl", "one");
    const auto cache = folder_.path() / "cache";
    const auto print = [&](const Paths& files, const DataSettings& s = {}) {
        return fingerprint_of_files(files, s, cache);
    };
    EXPECT_EQ(print({a}), print({folder_.write("copy.txt", "one")}));
    EXPECT_NE(print({a}), print({b}));
    EXPECT_NE(print({a, b}), print({b, a}));
    EXPECT_NE(print({a}), print({rows}));
    DataSettings other;
    other.encoding = "gb18030";
    EXPECT_NE(print({a}), print({a}, other));
    const std::uint64_t before = print({a});
    folder_.write("a.txt", "ono");
    EXPECT_NE(print({a}), before);
}

TEST_F(Corpus, ProgressReachesTheEndAndMayCancel) {
    std::string text;
    while (text.size() < 2'000'000) text += "some words in a line\n";
    const auto file = folder_.write("a.txt", text);
    std::int64_t last = -1, total = -1;
    read_corpus(
        {file}, {}, [](std::string_view, bool) {},
        [&](std::string_view, std::int64_t done, std::int64_t all) {
            EXPECT_GE(done, last);
            last = done;
            total = all;
        });
    EXPECT_EQ(total, static_cast<std::int64_t>(text.size()));
    EXPECT_EQ(last, total);
    const auto cancel = [](std::string_view, std::int64_t, std::int64_t) { throw std::runtime_error("cancelled"); };
    EXPECT_THROW(read_corpus(
                     {file}, {}, [](std::string_view, bool) {}, cancel),
                 std::runtime_error);
}

TEST_F(Corpus, UnknownSettingsAreRefused) {
    DataSettings settings;
    settings.encoding = "latin1";
    EXPECT_TRUE(contains(error_of_text("x", settings), "utf8 or gb18030"));
    settings = {};
    settings.invalid_utf8 = "ignore";
    EXPECT_TRUE(contains(error_of_text("x", settings), "error, replace or skip_line"));
}

}  // namespace
}  // namespace locus
