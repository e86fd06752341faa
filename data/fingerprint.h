#pragma once
// XXH64: a fast 64-bit hash (not a cryptographic one) by which texts, tokenizers and cached files are known and checked.
//
// Four lanes of 64 bits each take 8 bytes of every 32:  lane <- rotl(lane + P2 * word, 31) * P1;  at the end the lanes, the rest of the
// bytes and the length are mixed into one word.
// cost      about 0.1 ns per byte: one multiplication per 8 bytes, four chains at a time
// source    Collet, "XXH64 algorithm description", xxHash repository, doc/xxhash_spec.md

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace locus {

/// The hash of bytes that come in pieces; how they are cut does not matter.
class Fingerprint {
public:
    explicit Fingerprint(std::uint64_t seed = 0);

    void add(std::string_view bytes);
    /// Eight bytes, lowest first.
    void add_number(std::uint64_t number);
    /// Length and bytes, so that ("ab", "c") differs from ("a", "bc").
    void add_text(std::string_view text);
    /// Of all that was added so far.
    std::uint64_t value() const;

private:
    std::array<std::uint64_t, 4> lanes_;
    std::uint64_t seed_, total_ = 0;
    std::array<char, 32> rest_{};  // the last total_ % 32 bytes
};

/// XXH64 of `bytes`.
std::uint64_t fingerprint(std::string_view bytes, std::uint64_t seed = 0);
/// Sixteen hexadecimal digits.
std::string hexadecimal(std::uint64_t value);

/// XXH64 of a file's contents. With a `cache` folder it is remembered there and found again while the file's size, times and inode stay the same;
/// a file that changed in the last two seconds is not remembered, since it could change again within a tick of the clock. A cache that cannot
/// be written is done without. Throws DataError for a file that cannot be opened, std::system_error for one that cannot be read.
std::uint64_t fingerprint_of_file(const std::filesystem::path& file, const std::filesystem::path& cache = {});

}  // namespace locus
