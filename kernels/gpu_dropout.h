#pragma once
// Dropout in a kernel where a block of threads has a row: first the row's mask into shared memory, a Philox call for eight columns, then each number.
// Which are kept: dropout.h.

#include "kernels/dropout_rule.h"
#include "kernels/gpu.h"

namespace locus::LOCUS_TARGET {

struct DropoutOfRows {
    bool on = false;
    DropoutRule rule{};
    const std::int32_t *sequence = nullptr, *position = nullptr;

    /// Draws the mask of a row: column c is bit c % 8 of mask[c / 8]. All threads of the block have to come.
    __device__ void draw(std::int64_t row, std::int64_t columns, std::uint8_t* mask) const {
        if (!on) return;
        const auto c1 = static_cast<std::uint32_t>(position[row]), c2 = static_cast<std::uint32_t>(sequence[row]);
        for (std::int64_t eight = threadIdx.x; 8 * eight < columns; eight += blockDim.x)
            mask[eight] = static_cast<std::uint8_t>(kept_of_eight(rule, static_cast<std::uint32_t>(eight), c1, c2));
        __syncthreads();
    }

    /// The number in that column, scaled or dropped: a NaN that is dropped is 0 too.
    __device__ float apply(const std::uint8_t* mask, std::int64_t column, float value) const {
        if (!on) return value;
        return (mask[column / 8] >> column % 8 & 1) != 0 ? value * static_cast<float>(rule.scale) : 0.0F;
    }
};

inline DropoutOfRows dropout_of_rows(const char* op, const Dropout& dropout, const DropoutRows& rows) {
    if (!dropout) return {};
    return {true, dropout_rule(op, dropout), rows.sequence.as<std::int32_t>(), rows.position.as<std::int32_t>()};
}

/// A block for each row, with shared memory for the mask.
inline Launch one_block_each_with_mask(const char* op, std::int64_t rows, std::int64_t columns) {
    return one_block_each(op, rows, threads_per_block, static_cast<std::size_t>((columns + 7) / 8));
}

}  // namespace locus::LOCUS_TARGET
