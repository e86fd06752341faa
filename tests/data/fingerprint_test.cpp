#include "data/fingerprint.h"

#include <gtest/gtest.h>

#include <cstring>

#include "data/error.h"
#include "tests/data/files.h"

namespace locus {
namespace {

std::string bytes_of_length(std::size_t length) {
    std::string bytes;
    for (std::size_t i = 0; i < length; ++i) bytes += static_cast<char>(i * 131 + 7);
    return bytes;
}

TEST(Fingerprint, IsXxh64ByItsPublishedVectors) {
    EXPECT_EQ(fingerprint(""), 0xEF46DB3751D8E999U);
    EXPECT_EQ(fingerprint("abc"), 0x44BC2CF5AD770999U);
    EXPECT_EQ(fingerprint("Nobody inspects the spammish repetition"), 0xFBCEA83C8A378BF1U);
}

// zstd ends a frame with the lower four bytes of XXH64 of the contents.
TEST(Fingerprint, AgreesWithTheChecksumThatZstdComputes) {
    for (const std::size_t length : {1, 3, 4, 7, 8, 9, 31, 32, 33, 63, 64, 100, 1000, 65537}) {
        const std::string bytes = bytes_of_length(length), frame = zstd_frame(bytes);
        std::uint32_t expected = 0;
        std::memcpy(&expected, frame.data() + frame.size() - 4, 4);
        EXPECT_EQ(static_cast<std::uint32_t>(fingerprint(bytes)), expected) << length;
    }
}

TEST(Fingerprint, DoesNotDependOnHowTheBytesAreCut) {
    const std::string bytes = bytes_of_length(1000);
    for (const std::size_t piece : {1, 5, 31, 32, 33, 64, 999}) {
        Fingerprint hash;
        for (std::size_t at = 0; at < bytes.size(); at += piece) hash.add(std::string_view(bytes).substr(at, piece));
        EXPECT_EQ(hash.value(), fingerprint(bytes)) << piece;
    }
}

TEST(Fingerprint, SeedAndBoundariesOfTextsCount) {
    EXPECT_NE(fingerprint("abc", 1), fingerprint("abc", 2));
    Fingerprint left, right;
    left.add_text("ab");
    left.add_text("c");
    right.add_text("a");
    right.add_text("bc");
    EXPECT_NE(left.value(), right.value());
}

TEST(Fingerprint, OfAFileIsRememberedWhileTheFileStaysTheSame) {
    const TemporaryFolder folder;
    const auto file = folder.write("a.txt", "some text"), cache = folder.path() / "cache";
    EXPECT_EQ(fingerprint_of_file(file), fingerprint("some text"));
    EXPECT_EQ(fingerprint_of_file(file, cache), fingerprint("some text"));
    EXPECT_FALSE(std::filesystem::exists(cache / "fingerprints"));  // too fresh: it could change again within a tick
    ::sleep(4);
    EXPECT_EQ(fingerprint_of_file(file, cache), fingerprint("some text"));
    ASSERT_EQ(count_named(cache / "fingerprints", ".json"), 1);

    const auto record = std::filesystem::directory_iterator(cache / "fingerprints")->path();
    std::string text = contents(record);
    const std::string digits = std::to_string(fingerprint("some text"));
    ASSERT_TRUE(contains(text, digits));
    text.replace(text.find(digits), digits.size(), "42");
    std::ofstream(record) << text;
    EXPECT_EQ(fingerprint_of_file(file, cache), 42U);  // the record is believed
    std::ofstream(record) << "{\"xxh64\": 42";
    EXPECT_EQ(fingerprint_of_file(file, cache), fingerprint("some text"));  // a damaged one is not

    // The same size and time of modification, but other contents: the time of the change of status tells.
    const auto time = std::filesystem::last_write_time(file);
    folder.write("a.txt", "other one");
    std::filesystem::last_write_time(file, time);
    EXPECT_EQ(fingerprint_of_file(file, cache), fingerprint("other one"));
}

TEST(Fingerprint, OfAMissingFileOrAFolderIsADataError) {
    const TemporaryFolder folder;
    EXPECT_TRUE(contains(message_of<DataError>([&] { fingerprint_of_file(folder.path() / "none"); }), "none"));
    EXPECT_TRUE(contains(message_of<DataError>([&] { fingerprint_of_file(folder.path()); }), "is a folder"));
}

}  // namespace
}  // namespace locus
