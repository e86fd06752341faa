#pragma once
// The draws of one synthetic document, and tables of words written as one string.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/random.h"

namespace locus {

/// Philox key (seed, stream_synthetic), counter (draw / 4, document, language, 0).
class Choices {
public:
    Choices(std::uint32_t seed, std::uint32_t language, std::uint32_t document)
        : key_{seed, stream_synthetic}, language_(language), document_(document) {}

    std::uint32_t below(std::uint32_t bound) {
        if (used_ == 4) {
            bits_ = philox(key_, {block_++, document_, language_, 0});
            used_ = 0;
        }
        return locus::below(bits_[used_++], bound);
    }
    /// low .. high, both possible.
    int between(int low, int high) { return low + static_cast<int>(below(static_cast<std::uint32_t>(high - low + 1))); }
    bool percent(std::uint32_t share) { return below(100) < share; }
    template <typename Table>
    const auto& of(const Table& table) {
        return table[below(static_cast<std::uint32_t>(table.size()))];
    }
    /// The index of an entry of `table`, with probability in proportion to its member `weight`.
    template <typename Table>
    std::size_t weighted(const Table& table) {
        std::uint32_t sum = 0;
        for (const auto& entry : table) sum += entry.weight;
        std::uint32_t draw = below(sum);
        std::size_t at = 0;
        while (draw >= table[at].weight) draw -= table[at++].weight;
        return at;
    }

private:
    PhiloxKey key_;
    std::uint32_t language_, document_, block_ = 0;
    Philox4 bits_{};
    unsigned used_ = 4;
};

/// "red green blue" as a table; `separator` parts the entries.
inline std::vector<std::string> split(std::string_view text, char separator = ' ') {
    std::vector<std::string> parts;
    while (true) {
        const std::size_t end = text.find(separator);
        parts.emplace_back(text.substr(0, end));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

std::string english_document(std::uint32_t seed, std::uint32_t index);
std::string chinese_document(std::uint32_t seed, std::uint32_t index);

}  // namespace locus
