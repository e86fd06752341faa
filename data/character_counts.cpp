#include "data/character_counts.h"

#include <algorithm>

namespace locus {
namespace {

CharacterCounts in_order(const std::vector<std::int64_t>& by_code_point) {
    CharacterCounts counts;
    for (std::size_t c = 0; c < by_code_point.size(); ++c) {
        if (by_code_point[c] > 0) counts.emplace_back(static_cast<char32_t>(c), by_code_point[c]);
    }
    std::stable_sort(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
    return counts;
}

constexpr std::size_t code_points = 0x110000;

}  // namespace

CharacterCounter::CharacterCounter(const Normalisation& rules) : rules_(rules), counts_(code_points, 0) {}

void CharacterCounter::add(std::string_view text) {
    normalise_characters(text, rules_, [&](char32_t c) { ++counts_[c]; });
}

CharacterCounts CharacterCounter::finish() const { return in_order(counts_); }

CharacterCounts count_characters(const std::vector<WordCount>& words) {
    std::vector<std::int64_t> counts(code_points, 0);
    for (const WordCount& counted : words) {
        for (std::size_t at = 0; at < counted.first.size();) {
            const CodePoint point = code_point_at(counted.first, at);
            counts[point.value] += counted.second;
            at += static_cast<std::size_t>(point.length);
        }
    }
    return in_order(counts);
}

std::int64_t total_of(const CharacterCounts& counts) {
    std::int64_t total = 0;
    for (const auto& counted : counts) total += counted.second;
    return total;
}

std::size_t alphabet_size(const CharacterCounts& counts, double coverage) {
    const double wanted = coverage * static_cast<double>(total_of(counts));
    std::int64_t covered = 0;
    std::size_t size = 0;
    while (size < counts.size() && static_cast<double>(covered) < wanted) covered += counts[size++].second;
    return size;
}

}  // namespace locus
