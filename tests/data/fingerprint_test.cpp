#include "data/fingerprint.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>

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

TEST(Fingerprint, OfAFileIsThatOfItsContentsAndIsRemembered) {
    const TemporaryFolder folder;
    const auto file = folder.write("a.txt", "some text"), cache = folder.path() / "cache";
    const auto hour_ago = std::filesystem::file_time_type::clock::now() - std::chrono::hours(1);
    std::filesystem::last_write_time(file, hour_ago);
    EXPECT_EQ(fingerprint_of_file(file), fingerprint("some text"));
    EXPECT_EQ(fingerprint_of_file(file, cache), fingerprint("some text"));
    // The change of times above has just happened, so that nothing may be remembered yet.
    EXPECT_FALSE(std::filesystem::exists(cache / "fingerprints"));
    ::sleep(3);
    EXPECT_EQ(fingerprint_of_file(file, cache), fingerprint("some text"));
    ASSERT_EQ(count_named(cache / "fingerprints", ".json"), 1);
    // Same size, same time of modification, other contents: the time of the change of status tells.
    folder.write("a.txt", "other one");
    std::filesystem::last_write_time(file, hour_ago);
    EXPECT_EQ(fingerprint_of_file(file, cache), fingerprint("other one"));
}

TEST(Fingerprint, OfAFileUsesWhatIsRememberedAndSurvivesADamagedRecord) {
    const TemporaryFolder folder;
    const auto cache = folder.path() / "cache";
    const std::filesystem::path file = "/proc/self/exe";  // old enough to be remembered, and large
    const std::uint64_t hash = fingerprint_of_file(file);
    EXPECT_EQ(fingerprint_of_file(file, cache), hash);
    const auto records = cache / "fingerprints";
    if (!std::filesystem::exists(records)) GTEST_FAIL() << "the test program was linked less than three seconds ago; run again";
    const auto record = std::filesystem::directory_iterator(records)->path();
    std::string text = contents(record);
    const std::string digits = std::to_string(hash);
    ASSERT_TRUE(contains(text, digits));
    text.replace(text.find(digits), digits.size(), "42");
    std::ofstream(record) << text;
    EXPECT_EQ(fingerprint_of_file(file, cache), 42U);  // the record was believed
    std::ofstream(record) << "{\"xxh64\": 42";
    EXPECT_EQ(fingerprint_of_file(file, cache), hash);
}

TEST(Fingerprint, OfAMissingFileOrAFolderIsADataError) {
    const TemporaryFolder folder;
    EXPECT_TRUE(contains(message_of<DataError>([&] { fingerprint_of_file(folder.path() / "none"); }), "none"));
    EXPECT_TRUE(contains(message_of<DataError>([&] { fingerprint_of_file(folder.path()); }), "is a folder"));
}

}  // namespace
}  // namespace locus
