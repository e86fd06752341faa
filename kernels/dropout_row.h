#pragma once
// Dropout of one row, for the kernels that fuse it with something else.

#include <algorithm>
#include <cstdint>

#include "kernels/checks.h"
#include "kernels/philox_lanes.h"

namespace locus::LOCUS_TARGET {

inline void check_dropout_rows(Op op, const DropoutRows& rows, std::int64_t count) {
    check_contiguous(op, "dropout rows' sequence", rows.sequence, {count});
    check_contiguous(op, "dropout rows' position", rows.position, {count});
    check_dtype(op, "dropout rows' sequence", rows.sequence, DType::int32);
    check_dtype(op, "dropout rows' position", rows.position, DType::int32);
}

/// Calls body(c, keep) for c = 0 .. columns-1, in a loop that vectorises when the body does.
template <class Body>
void for_dropout_row(const DropoutRule& rule, std::int32_t sequence, std::int32_t position, std::int64_t columns,
                     const Body& body) {
    const auto threshold = static_cast<std::uint16_t>(rule.threshold);
    std::uint16_t bits[dropout_chunk];
    for (std::int64_t begin = 0; begin < columns; begin += dropout_chunk) {
        const std::int64_t count = std::min<std::int64_t>(dropout_chunk, columns - begin);
        dropout_bits(rule, static_cast<std::uint32_t>(begin / 8), static_cast<std::uint32_t>(position),
                     static_cast<std::uint32_t>(sequence), bits);
#pragma omp simd
        for (std::int64_t c = 0; c < count; ++c) body(begin + c, bits[c] >= threshold);
    }
}

}  // namespace locus::LOCUS_TARGET
