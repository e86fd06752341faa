#pragma once
// Terms by distance on a tile whose positions run on by one: the terms are constant along diagonals, and a diagonal is a stride.
//
//   A tile has the element (m, n) at data[m * row + n * column]. Its terms by distance live in a band: rows numbered by distance so
//   that (m, n) uses the band row  x = first + n - m.  Seen as a function of (m, x) the tile is
//
//       (m, x)  ->  data[(x - first) * column + m * (row + column)]                      the skewed view: n = x - first + m
//
//   so every product with a band is an ordinary small product on strides (attention_product.h); nothing is gathered or scattered:
//
//       scores       T(m, x) += a_m . band_x             add_band_scores       band transposed is B, T is C with row stride + 1
//       sums         c_m     += sum_x T(m, x) band_x     add_band_rows         T is A
//       gradient     g_x      = sum_m T(m, x) a_m        band_gradient         T transposed is A
//
//   Queries x keys with a band by falling distance (K, V, biases), or keys x queries with a band by rising distance (Q): the
//   transposed tile is the same memory with row and column exchanged.
//
// padding  a block of rows shares its range of x, so the skewed view looks up to a block past the ends of the row: these
//          must be writable for scores, zero for sums and gradients
// cost     M (N + block) K multiply-adds instead of M N K: only the distances that the tile can see are touched
// paper    the diagonal trick is the "relative shift" of Dai 2019 and Huang 2018, without moving anything

#include <algorithm>

#include "kernels/attention_product.h"

namespace locus::LOCUS_TARGET {

/// A table spread out by distance for one head: the row of distance r is at origin + sign * r.
template <class T>
struct Band {
    const T* transposed = nullptr;  // [head_dim, transposed_stride]
    int64_t transposed_stride = 0;
    const T* rows = nullptr;  // [distances, padded head_dim]
    int64_t row_stride = 0;
    int64_t origin = 0;
    int sign = 0;  // -1: falling distances, +1: rising; 0: absent

    explicit operator bool() const { return sign != 0; }
    /// The band row of the tile's element (0, 0), which has the distance r.
    int64_t first(int64_t r) const { return origin + sign * r; }
};

/// A tile of M x N elements in memory.
template <class T>
struct Tile {
    T* data;
    int64_t row, column;

    Tile transposed() const { return {data, column, row}; }
};

/// Rows that share their range of x.
inline int64_t band_block(bool on_tiles) { return on_tiles ? tile_block_rows : block_rows; }

/// T(m, x) (+)= a_m . band_x for all x that the rows see; the tile's column stride must be 1.
template <bool add, class T>
inline void band_scores(bool on_tiles, Tile<T> tile, int64_t M, int64_t N, int64_t head_dim, Rows<const T> a,
                        const Band<T>& band, int64_t first) {
    const int64_t block = band_block(on_tiles);
    for (int64_t m = 0; m < M; m += block) {
        const int64_t x = first - m - (block - 1);  // N + block - 1 distances; one more makes whole tiles
        product<add>(on_tiles, std::min(block, M - m), N + block, head_dim,
                     Elements<T>{a.data + m * a.stride, a.stride, 1},
                     Rows<const T>{band.transposed + x, band.transposed_stride},
                     Rows<T>{tile.data + m * tile.row - (block - 1), tile.row + 1});
    }
}

/// c_m += sum_x T(m, x) band_x
template <class T>
inline void add_band_rows(bool on_tiles, Tile<const T> tile, int64_t M, int64_t N, int64_t width, const Band<T>& band,
                          int64_t first, Rows<T> c) {
    const int64_t block = band_block(on_tiles);
    for (int64_t m = 0; m < M; m += block) {
        const int64_t x = first - m - (block - 1);
        product<true>(
            on_tiles, std::min(block, M - m), width, N + block - 1,
            Elements<T>{tile.data + m * tile.row - (block - 1) * tile.column, tile.row + tile.column, tile.column},
            Rows<const T>{band.rows + x * band.row_stride, band.row_stride}, Rows<T>{c.data + m * c.stride, c.stride});
    }
}

/// g_y = sum_m T(m, y - (M - 1) + first) a_m for y = 0 .. M + N - 2: the band rows from first - (M - 1) on.
template <class T>
inline void band_gradient(bool on_tiles, Tile<const T> tile, int64_t M, int64_t N, int64_t width, Rows<const T> a,
                          Rows<T> g) {
    const int64_t distances = M + N - 1, block = band_block(on_tiles);
    for (int64_t y = 0; y < distances; y += block) {
        // Row y sees m with 0 <= n = y - (M - 1) + m < N.
        const int64_t begin = std::max<int64_t>(0, M - 1 - (y + block - 1));
        const int64_t end = std::min(M, N + M - 1 - y);
        product<false>(on_tiles, std::min(block, distances - y), width, end - begin,
                       Elements<T>{tile.data + (y - (M - 1)) * tile.column + begin * (tile.row + tile.column),
                                   tile.column, tile.row + tile.column},
                       Rows<const T>{a.data + begin * a.stride, a.stride}, Rows<T>{g.data + y * g.stride, g.stride});
    }
}

}  // namespace locus::LOCUS_TARGET
