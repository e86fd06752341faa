#pragma once
// What further channels get back from a tile of attention's backward pass, whose dS is known (gpu_attention_backward_tile.h).
//
//     da_i += scale sum_j dS(i, j) b_j       by the block that has the queries
//     db_j += scale sum_i dS(i, j) a_i       by the block that has the keys
//
// Registers are full of dq, or of dk and dvalue: so dS comes from shared memory, and a tile's sums are made for 32 channels at a time and added in memory
// at once.
//
//   shapes   a [q_rows, heads, channels], b [k_rows, heads, channels], as many as one likes, float32
//   order    a block owns its rows and adds tile by tile, as the others come
//   flop     2 * 64 * 64 for each channel, the next multiple of 32 of them
//   bytes    for each tile the other side's channels and twice the gradients of 64 rows, 4 channels * 64 each, from the cache: at 64 channels 48 KB,
//            beside the 16 KB that a tile reads of rows in bfloat16 and the 32 KB of channels that its scores read

#include "kernels/gpu_attention_tile.h"

namespace locus::LOCUS_TARGET {

constexpr int channels_at_once = 32;

/// Of the pairs of all queries, those with the warp's strip of keys.
__device__ inline ColumnsOf columns_of_strip(SharedRows<tile_rows, tile_rows>& x) {
    return {x.row(0) + first_of_strip(), x.stride};
}

/// to(row) += factor * sums, from channel `first` on.
__device__ inline void add_strip(const HeadRows<float>& to, Span rows, std::int64_t head, std::int64_t first,
                                 float factor, const MmaC (&sums)[channels_at_once / 8]) {
    LOCUS_UNROLL
    for (int e = 0; e < 4; ++e) {
        const std::int64_t row = rows.begin + first_of_strip() + mma_row(e);
        if (row >= rows.end) continue;
        float* const channels = to.of(row, head);
        LOCUS_UNROLL
        for (int n = 0; n < channels_at_once / 8; ++n) {
            const std::int64_t c = first + 8 * n + mma_column(e);
            if (c < to.channels) channels[c] += factor * sums[n].at[e];
        }
    }
}

/// to(row) += factor sum_n dS(row, n) others(n) for the warp's strip, of the tile's queries or of its keys. Out of line, like multiply_channels.
template <int head_dim, bool of_queries>
__device__ [[gnu::noinline]] void add_channel_gradient(AttentionTiles<head_dim>& tiles, HeadRows<float> to, Span rows,
                                                       float factor, ChannelsOfRows others) {
    for (; others.first < to.channels; others.first += head_dim) {
        fill_channels(others, tiles);
        for (int c = 0; c < head_dim && others.first + c < to.channels; c += channels_at_once) {
            MmaC sums[channels_at_once / 8];
            const ColumnsOf channels = {tiles.channels.row(0) + c, tiles.channels.stride};
            if (of_queries)
                multiply_strip<tile_rows / 16>(sums, tiles.gradients.ds.rows_from(first_of_strip()), channels);
            else
                multiply_strip<tile_rows / 16>(sums, columns_of_strip(tiles.gradients.ds), channels);
            add_strip(to, rows, others.head, others.first + c, factor, sums);
        }
    }
}

/// A tile's part in da. `ds` is that of the warp's strip; it comes to tiles.gradients.
template <class T, int head_dim>
__device__ void add_channel_gradients_of_queries(const AttentionPairs<T>& pairs, const AttentionTile& at,
                                                 AttentionTiles<head_dim>& tiles, const ScoreStrip& ds,
                                                 const ChannelGradients (&to)[max_attention_channels]) {
    if (!to[0].query.present() && !to[1].query.present() && !to[2].query.present()) return;
    __syncthreads();  // by_distance, which is in the same place, has been read
    LOCUS_UNROLL
    for (int n = 0; n < tile_columns; ++n) LOCUS_UNROLL
    for (int e = 0; e < 4; ++e)
        store(tiles.gradients.ds.row(first_of_strip() + mma_row(e)) + 8 * n + mma_column(e), ds[n].at[e]);
    LOCUS_UNROLL
    for (int n = 0; n < max_attention_channels; ++n)
        if (to[n].query.present())
            add_channel_gradient<head_dim, true>(tiles, to[n].query, at.queries, pairs.scale,
                                                 {pairs.channels[n].key, at.head, at.keys, 0});
}

/// A tile's part in db, from tiles.gradients.
template <class T, int head_dim>
__device__ void add_channel_gradients_of_keys(const AttentionPairs<T>& pairs, const AttentionTile& at,
                                              AttentionTiles<head_dim>& tiles,
                                              const ChannelGradients (&to)[max_attention_channels]) {
    LOCUS_UNROLL
    for (int n = 0; n < max_attention_channels; ++n)
        if (to[n].key.present())
            add_channel_gradient<head_dim, false>(tiles, to[n].key, at.keys, pairs.scale,
                                                  {pairs.channels[n].query, at.head, at.queries, 0});
}

}  // namespace locus::LOCUS_TARGET
