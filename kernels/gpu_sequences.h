#pragma once
// The sequences of a ragged batch as a thread on a GPU sees them: their bounds are numbers in the device's memory, which the host does not know.

#include "kernels/attention.h"
#include "kernels/gpu.h"

namespace locus::LOCUS_TARGET {

/// The rows begin .. end - 1.
struct SequenceRows {
    std::int64_t begin, end;

    __device__ std::int64_t length() const { return end - begin; }
    /// The row of step t, 0 <= t < length, when the sequence is read from its first or its last token.
    __device__ std::int64_t row(std::int64_t t, bool reverse) const { return reverse ? end - 1 - t : begin + t; }
};

struct Sequences {
    const std::int32_t* offsets;
    std::int64_t count;

    __device__ SequenceRows operator[](std::int64_t sequence) const {
        return {offsets[sequence], offsets[sequence + 1]};
    }

    /// The rows of the sequence that has `row`: the last one that begins there or before, so that empty ones are passed over.
    __device__ SequenceRows around(std::int64_t row) const {
        std::int64_t low = 0, high = count;  // offsets[low] <= row < offsets[high]
        while (high - low > 1) {
            const std::int64_t middle = (low + high) / 2;
            (offsets[middle] <= row ? low : high) = middle;
        }
        return (*this)[low];
    }
};

inline Sequences sequences_of(const AttentionRows& rows) {
    return {rows.offsets.as<std::int32_t>(), rows.offsets.count() - 1};
}

}  // namespace locus::LOCUS_TARGET
