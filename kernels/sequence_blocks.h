#pragma once
// Work along the sequences of a ragged batch that treats every channel by itself: one thread takes a block of channels of one sequence from its
// first token to its last. Nobody else writes there, so the order of all sums is the same for any number of threads.

#include <algorithm>
#include <cstdint>

#include "kernels/attention.h"

namespace locus::LOCUS_TARGET {

constexpr std::int64_t channels_per_block = 64;

/// The rows begin .. end - 1 of sequence `number` and its channels first .. first + count - 1.
struct SequenceBlock {
    std::int64_t number, begin, end, first, count;

    /// The row of step t, 0 <= t < end - begin, when the sequence is read from its first or its last token.
    std::int64_t row(std::int64_t t, bool reverse) const { return reverse ? end - 1 - t : begin + t; }
};

/// Calls body(block) for every sequence and block of channels. The body must not throw.
template <class Body>
void for_sequence_blocks(const AttentionRows& rows, std::int64_t channels, const Body& body) {
    const auto* const offsets = rows.offsets.as<std::int32_t>();
    const std::int64_t sequences = rows.offsets.count() - 1;
    const std::int64_t blocks = (channels + channels_per_block - 1) / channels_per_block;
#pragma omp parallel for schedule(dynamic) collapse(2)
    for (std::int64_t s = 0; s < sequences; ++s) {
        for (std::int64_t b = 0; b < blocks; ++b) {
            const std::int64_t first = b * channels_per_block;
            body(SequenceBlock{s, offsets[s], offsets[s + 1], first, std::min(channels_per_block, channels - first)});
        }
    }
}

}  // namespace locus::LOCUS_TARGET
