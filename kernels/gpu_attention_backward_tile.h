#pragma once
// A tile of attention's backward pass on tensor cores: from the scores of 64 x 64 pairs to drop(P) and dS (gpu_attention_tile.h has the picture). P is
// computed again, from log_sum_exp.
//
//     dP = drop'( dout V^T + dout Vband^T at its distance )       dS = f P (dP - D)
//
//   flop     a tile 4 * 64 * 64 head_dim, each of the three bands 5/4 of half of that
//   memory   in shared memory at most 141 KB (head_dim 128, all terms)

#include "kernels/gpu_attention_tile.h"

namespace locus::LOCUS_TARGET {

template <class T>
struct FusedBackward {
    AttentionPairs<T> pairs;
    HeadRows<const T> dout, out;
    const float *log_sum_exp, *weighted_sum;  // [q_rows, heads], the second one D

    FusedBackward(const char* op, const AttentionBackward& args, const float* weighted_sum)
        : pairs(op, args),
          dout(args.dout),
          out(args.out),
          log_sum_exp(args.log_sum_exp.as<float>()),
          weighted_sum(weighted_sum) {}
};

template <int head_dim>
struct DoutTile {
    SharedRows<tile_rows, head_dim> dout;
};
/// It stands first: of the others a kernel needs more or less.
template <int head_dim>
struct BackwardTiles : DoutTile<head_dim>, AttentionTiles<head_dim> {};
static_assert(sizeof(BackwardTiles<128>) <= 160 * 1024, "a block of an A100 can have 163 KB");

template <int head_dim>
constexpr std::size_t backward_bytes_of(TileParts last) {
    static_assert(sizeof(BackwardTiles<head_dim>) == sizeof(DoutTile<head_dim>) + sizeof(AttentionTiles<head_dim>));
    return sizeof(DoutTile<head_dim>) + bytes_of<head_dim>(last);
}

// ---- the gradients of a tile's pairs ----

/// dP(i, j) += dout_i . V[r(i, j)]
template <class T, int head_dim>
__device__ void add_products_with_value_table(const FusedBackward<T>& b, const AttentionTile& at,
                                              BackwardTiles<head_dim>& tiles, ScoreStrip& dp) {
    const VectorTable& table = b.pairs.value_table;
    if (!at.runs_on)
        return add_products_pair_by_pair<head_dim>(
            at, tiles,
            [&](int i, int, std::int64_t r) {
                return dot(tiles.dout.row(i), nullptr, table.vector(at.head, r), head_dim);
            },
            dp);
    fill_band(table, at, tiles);
    add_products_of_queries<head_dim>(tiles, tiles.dout, dp);
}

/// From the score to drop(P), and from dP before its dropout to dS.
template <class T>
__device__ void finish_gradients(const FusedBackward<T>& b, const AttentionTile& at, ScoreStrip& score,
                                 ScoreStrip& dp) {
    float log2_sum_exp[2] = {}, weighted_sum[2] = {};
    for (int half = 0; half < 2; ++half) {
        const std::int64_t query = at.queries.begin + first_of_strip() + mma_row(2 * half);
        if (query >= at.queries.end) continue;
        const float log_sum_exp = b.log_sum_exp[query * b.pairs.heads + at.head];
        if (log_sum_exp != -INFINITY) log2_sum_exp[half] = log_sum_exp * log2_of_e;  // else the query sees no key
        weighted_sum[half] = b.weighted_sum[query * b.pairs.heads + at.head];
    }
    KeptStrip drawn = {};
    if (b.pairs.drops) drawn = draw_kept(b.pairs, at);
    const float if_kept = b.pairs.drops ? static_cast<float>(b.pairs.dropout.scale) : 1.0F;
    LOCUS_UNROLL
    for (int n = 0; n < tile_columns; ++n) LOCUS_UNROLL
    for (int e = 0; e < 4; ++e) {
        const float p = power_of_two(score[n].at[e] * log2_of_e - log2_sum_exp[e / 2]);
        const float kept = !b.pairs.drops || drawn.keeps(n, e) ? if_kept : 0.0F;
        score[n].at[e] = p * kept;
        dp[n].at[e] = at.factor * p * (dp[n].at[e] * kept - weighted_sum[e / 2]);
    }
}

/// drop(P) and dS of the warp's strip.
template <class T, int head_dim>
__device__ void find_gradients(const FusedBackward<T>& b, const AttentionTile& at, BackwardTiles<head_dim>& tiles,
                               ScoreStrip& dropped, ScoreStrip& ds) {
    find_scores<T, head_dim>(b.pairs, at, tiles, dropped);
    multiply_strip<head_dim / 16>(ds, tiles.dout.rows_from(first_of_strip()), tiles.value.rows_from(0));
    if (b.pairs.value_table.present()) add_products_with_value_table(b, at, tiles, ds);
    finish_gradients(b, at, dropped, ds);
}

template <class T, int head_dim>
__device__ void fill_dout(const FusedBackward<T>& b, const AttentionTile& at, BackwardTiles<head_dim>& tiles) {
    fill(tiles.dout, RowsOfHead<T>{b.dout, at.head, at.queries, nullptr});
}

template <class T>
__device__ AttentionTile tile_of(const AttentionPairs<T>& pairs, std::int64_t sequence) {
    return {.head = blockIdx.x % pairs.heads,
            .sequence = sequence,
            .queries = {},
            .keys = {},
            .factor = pairs.factor_of_sequence(sequence),
            .runs_on = true};
}

/// For all warps, since keys meet the queries of every strip.
template <int head_dim>
__device__ void share_gradients(BackwardTiles<head_dim>& tiles, const ScoreStrip& dropped, const ScoreStrip& ds) {
    __syncthreads();  // by_distance, which is in the same place, has been read
    LOCUS_UNROLL
    for (int n = 0; n < tile_columns; ++n) LOCUS_UNROLL
    for (int e = 0; e < 4; ++e) {
        const int i = first_of_strip() + mma_row(e), j = 8 * n + mma_column(e);
        store(tiles.gradients.dropped.row(i) + j, dropped[n].at[e]);
        store(tiles.gradients.ds.row(i) + j, ds[n].at[e]);
    }
    __syncthreads();
}

}  // namespace locus::LOCUS_TARGET
