#pragma once
// Small matrix products on tiles, the arithmetic of attention.cpp.
//
//     C[m, n] (+)= sum_k A(m, k) B[k, n]
//
//   A is read element by element and may have any two strides: a tile, its transpose, or its skewed view (attention_band.h) cost the
//   same. B and C are read and written in vectors along n; the stride of their rows is free, and need not be aligned.
//   A block of block_rows x (up to 3 vectors) of C stays in registers while k runs.
//
//   With bfloat16 operands, where the processor has tile registers, the same products are made there (matmul_amx.h): `on_tiles`. Their operands are
//   packed anew for each product, which costs more than its arithmetic; what is gained is in docs/performance.md.
//
// padding  M is rounded up to block_rows and N to whole vectors: A, B and C must have that much room (on tiles nothing is rounded up)
// cost     2 M N K flop; per k a block reads 3 vectors of B and block_rows elements of A for 3 block_rows multiply-adds

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/matmul_amx.h"

#if defined(__clang__)
#define LOCUS_UNROLL _Pragma("clang loop unroll(full)")
#else
#define LOCUS_UNROLL _Pragma("GCC unroll 16")
#endif

namespace locus::LOCUS_TARGET {

using std::int64_t;

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
constexpr int block_rows = 8;  // 24 sums, 3 of B and one of A in 32 registers
#elif defined(__AVX2__)
constexpr int vector_bytes = 32;
constexpr int block_rows = 4;  // 12 sums, 3 of B and one of A in 16 registers
#else
constexpr int vector_bytes = 16;
constexpr int block_rows = 4;
#endif

constexpr int tile_block_rows = 32;  // what one pair of tiles holds
constexpr int most_block_rows =
    vector_bytes == 64 ? tile_block_rows : block_rows;  // tiles come with vectors of 64 bytes

template <class T>
struct VectorOf {
    typedef T type __attribute__((vector_size(vector_bytes)));
    static constexpr int64_t width = vector_bytes / static_cast<int64_t>(sizeof(T));
};

constexpr int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

/// Elements (m, k) at data[m * row + k * column].
template <class T>
struct Elements {
    const T* data;
    int64_t row, column;
};

/// Rows of vectors.
template <class T>
struct Rows {
    T* data;
    int64_t stride;
};

template <int vectors, bool add, class T>
inline void product_in_registers(int64_t K, Elements<T> a, const T* b, int64_t b_stride, T* c, int64_t c_stride) {
    using Vector = typename VectorOf<T>::type;
    constexpr int64_t width = VectorOf<T>::width;
    Vector sum[block_rows][vectors] = {};
    for (int64_t k = 0; k < K; ++k) {
        Vector row[vectors];
        LOCUS_UNROLL
        for (int v = 0; v < vectors; ++v) std::memcpy(&row[v], b + v * width, vector_bytes);
        LOCUS_UNROLL
        for (int m = 0; m < block_rows; ++m) {
            const T element = a.data[m * a.row];
            LOCUS_UNROLL
            for (int v = 0; v < vectors; ++v) sum[m][v] += element * row[v];
        }
        a.data += a.column;
        b += b_stride;
    }
    LOCUS_UNROLL
    for (int m = 0; m < block_rows; ++m) {
        LOCUS_UNROLL
        for (int v = 0; v < vectors; ++v) {
            T* const to = c + m * c_stride + v * width;
            Vector result = sum[m][v];
            if constexpr (add) {
                Vector before;
                std::memcpy(&before, to, vector_bytes);
                result += before;
            }
            std::memcpy(to, &result, vector_bytes);
        }
    }
}

template <bool add, class T>
inline void product(bool on_tiles, int64_t M, int64_t N, int64_t K, Elements<T> a, Rows<const T> b, Rows<T> c) {
    if constexpr (std::is_same_v<T, float>) {
        if (on_tiles)
            return tile_product({M, N, K, a.data, a.row, a.column, b.data, b.stride, 1, c.data, c.stride, add});
    }
    constexpr int64_t width = VectorOf<T>::width;
    int64_t left = (N + width - 1) / width;
    while (left > 0) {
        // The columns of B that a block of C needs stay in the first cache while m runs.
        const int64_t vectors = left == 4 ? 2 : left < 3 ? left : 3;  // 4 = 2 + 2: one alone is slow
        for (int64_t m = 0; m < M; m += block_rows) {
            const Elements<T> rows{a.data + m * a.row, a.row, a.column};
            T* const to = c.data + m * c.stride;
            if (vectors == 3) product_in_registers<3, add>(K, rows, b.data, b.stride, to, c.stride);
            if (vectors == 2) product_in_registers<2, add>(K, rows, b.data, b.stride, to, c.stride);
            if (vectors == 1) product_in_registers<1, add>(K, rows, b.data, b.stride, to, c.stride);
        }
        b.data += vectors * width;
        c.data += vectors * width;
        left -= vectors;
    }
}

/// to[c, r] (+)= from[r, c], four by four in registers.
template <bool add, class T>
inline void transpose(int64_t rows, int64_t columns, Rows<const T> from, Rows<T> to) {
    typedef T Four __attribute__((vector_size(4 * sizeof(T))));
    const auto store = [](T* address, const Four& block) {
        Four value = block;
        if constexpr (add) {
            Four before;
            std::memcpy(&before, address, sizeof(Four));
            value += before;
        }
        std::memcpy(address, &value, sizeof(Four));
    };
    const auto one = [&](int64_t r, int64_t c) {
        T& element = to.data[c * to.stride + r];
        element = (add ? element : T{0}) + from.data[r * from.stride + c];
    };
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
        int64_t c = 0;
        for (; c + 4 <= columns; c += 4) {
            Four a[4];
            LOCUS_UNROLL
            for (int n = 0; n < 4; ++n) std::memcpy(&a[n], from.data + (r + n) * from.stride + c, sizeof(Four));
            const Four low01 = __builtin_shufflevector(a[0], a[1], 0, 4, 1, 5);
            const Four high01 = __builtin_shufflevector(a[0], a[1], 2, 6, 3, 7);
            const Four low23 = __builtin_shufflevector(a[2], a[3], 0, 4, 1, 5);
            const Four high23 = __builtin_shufflevector(a[2], a[3], 2, 6, 3, 7);
            T* const at = to.data + c * to.stride + r;
            store(at, __builtin_shufflevector(low01, low23, 0, 1, 4, 5));
            store(at + to.stride, __builtin_shufflevector(low01, low23, 2, 3, 6, 7));
            store(at + 2 * to.stride, __builtin_shufflevector(high01, high23, 0, 1, 4, 5));
            store(at + 3 * to.stride, __builtin_shufflevector(high01, high23, 2, 3, 6, 7));
        }
        for (; c < columns; ++c)
            for (int64_t n = 0; n < 4; ++n) one(r + n, c);
    }
    for (; r < rows; ++r)
        for (int64_t c = 0; c < columns; ++c) one(r, c);
}

}  // namespace locus::LOCUS_TARGET
