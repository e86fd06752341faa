#pragma once
// How many paragraphs occurred before, in bounded memory.
//
// The 64-bit hashes of the paragraphs are kept with their counts. When there are too many, only hashes that end in one more zero bit are kept:
// a sample of the distinct paragraphs that is the same in any order of the text, and whose counts are complete. The number is exact
// up to a million distinct paragraphs, and beyond that an estimate from 500,000 of them or more.
// source    adaptive sampling: Flajolet, "On adaptive sampling", Computing 43, 1990

#include <cstdint>
#include <string_view>
#include <unordered_map>

namespace locus {

class Duplicates {
public:
    explicit Duplicates(std::size_t most = 1'000'000) : most_(most) {}

    void add(std::string_view paragraph);
    /// Paragraphs that were not the first of their kind.
    std::int64_t count() const;

private:
    std::size_t most_;
    unsigned zeros_ = 0;  // low bits that are zero in every hash kept
    std::unordered_map<std::uint64_t, std::uint32_t> times_;
};

}  // namespace locus
