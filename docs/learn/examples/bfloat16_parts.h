#pragma once
// Float32 as three bfloat16 parts, and sums of their products in the order in which the tile registers of kernels/matmul_amx.cpp make them: one
// element at a time, in plain C++. To be read, not to be fast.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace locus::learn {

using Parts = std::array<float, 3>;

/// x = parts[0] + parts[1] + parts[2] exactly. Each part is a bfloat16: a float32 whose lower half is zero.
inline Parts bfloat16_parts(float x) {
    Parts parts;
    for (float& part : parts) {
        part = std::bit_cast<float>((std::bit_cast<std::uint32_t>(x) + 0x8000U) & 0xFFFF0000U);
        x -= part;
    }
    return parts;
}

/// What one instruction adds to an element of C: 32 products, those of even k summed apart from those of odd k. A product of two bfloat16 is exact.
inline float tile_sum(const Parts* a, std::size_t part_of_a, const Parts* b, std::size_t part_of_b) {
    float even = 0.0F, odd = 0.0F;
    for (std::size_t k = 0; k < 32; k += 2) {
        even += a[k][part_of_a] * b[k][part_of_b];
        odd += a[k + 1][part_of_a] * b[k + 1][part_of_b];
    }
    return even + odd;
}

/// A row of A times a column of B, their length a multiple of 32, with the first `parts` (1 to 3) parts of each number: 1, 3 or 6 products.
inline float inner_product(const std::vector<Parts>& row, const std::vector<Parts>& column, std::size_t parts) {
    constexpr std::size_t order[6][2] = {{0, 2}, {0, 1}, {1, 1}, {1, 0}, {2, 0}, {0, 0}};
    float sum = 0.0F;
    for (std::size_t k = 0; k < row.size(); k += 32)
        for (const auto& [a, b] : order)
            if (a + b < parts) sum += tile_sum(&row[k], a, &column[k], b);
    return sum;
}

}  // namespace locus::learn
