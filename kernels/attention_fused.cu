// The forward pass of attention on tensor cores. A block for each tile of 64 queries of a sequence and a head goes through the keys in tiles of 64;
// scores, their exponentials and the sums of values stay in registers (gpu_attention_tile.h has the picture).
//
//     score = scale * ((Q + u) K^T  +  A_n B_n^T  +  (Q + v) Kband^T and K Qband^T, each at its distance)  +  bias, times f
//     out   = out * exp(maximum before - maximum now) + P V + (P spread by distance) Vband
//
//   bytes    q and out once; k, value and the bands of the tables once for 64 queries, mostly from the cache; channels, float32, of both sides too
//   flop     content 4 S^2 head_dim per head, each table 2.5 S^2 head_dim, channels 2 S^2 for each, all on tensor cores
//   bound    tensor cores from some 400 keys on: S / 2 flop per byte of q, k, value and out, against the some 200 that tensor cores do while a byte comes from memory;
//            per byte of the cache 64
//   papers   Dao 2022 and 2023 (FlashAttention); Milakov and Gimelshein 2018 (online softmax); Dai 2019 (a band of distances for a tile of pairs)

#include "kernels/attention_fused.h"

#include "kernels/attention_some_rows.h"
#include "kernels/gpu_attention_tile.h"

namespace locus::LOCUS_TARGET {
namespace {

/// Of the two queries that a thread has numbers of, at[0], at[1] and at[2], at[3].
struct SoftmaxOfStrip {
    Softmax of_query[2];
};

/// Over the four threads that share a query.
__device__ float max_of_query(float x) {
    for (int mask = 1; mask < 4; mask *= 2) {
        const float other = __shfl_xor_sync(full_warp, x, mask);
        x = other > x ? other : x;
    }
    return x;
}
__device__ float sum_of_query(float x) {
    for (int mask = 1; mask < 4; mask *= 2) x += __shfl_xor_sync(full_warp, x, mask);
    return x;
}

/// score = exp(score - shift)
__device__ void exponentiate(SoftmaxOfStrip& softmax, ScoreStrip& score) {
    LOCUS_UNROLL
    for (int half = 0; half < 2; ++half) {
        Softmax& of_query = softmax.of_query[half];
        float largest = -INFINITY, sum = 0;
        LOCUS_UNROLL
        for (int n = 0; n < tile_columns; ++n) LOCUS_UNROLL
        for (int e = 2 * half; e < 2 * half + 2; ++e) largest = score[n].at[e] > largest ? score[n].at[e] : largest;
        of_query.see(max_of_query(largest));
        const float shift = of_query.shift * log2_of_e;
        LOCUS_UNROLL
        for (int n = 0; n < tile_columns; ++n) LOCUS_UNROLL
        for (int e = 2 * half; e < 2 * half + 2; ++e) {
            score[n].at[e] = power_of_two(score[n].at[e] * log2_of_e - shift);
            sum += score[n].at[e];
        }
        of_query.add(sum_of_query(sum));
    }
}

template <int n_tiles>
__device__ void correct(const SoftmaxOfStrip& softmax, MmaC (&out)[n_tiles]) {
    LOCUS_UNROLL
    for (int n = 0; n < n_tiles; ++n) LOCUS_UNROLL
    for (int e = 0; e < 4; ++e) out[n].at[e] *= softmax.of_query[e / 2].correction;
}

/// Scores, softmax and values of one tile.
template <class T, int head_dim>
__device__ void attend(const AttentionPairs<T>& pairs, const AttentionTile& at, AttentionTiles<head_dim>& tiles,
                       SoftmaxOfStrip& softmax, MmaC (&out)[head_dim / 8]) {
    ScoreStrip p;
    find_scores(pairs, at, tiles, p);
    exponentiate(softmax, p);
    correct(softmax, out);
    drop(pairs, at, p);
    multiply_strip<tile_rows / 16>(out, StripOf{p}, tiles.value.columns_from(0));
    if (pairs.value_table.present()) add_rows_by_distance(pairs.value_table, at, tiles, p, out);
}

template <class T, int n_tiles>
__device__ void write_queries(const AttentionPairs<T>& pairs, const AttentionTile& at, const SoftmaxOfStrip& softmax,
                              const MmaC (&sums)[n_tiles], const HeadRows<T>& out, float* log_sum_exp) {
    LOCUS_UNROLL
    for (int e = 0; e < 4; ++e) {
        const std::int64_t query = at.queries.begin + first_of_strip() + mma_row(e);
        if (query >= at.queries.end) continue;
        const Softmax& of_query = softmax.of_query[e / 2];
        const float factor = of_query.sum == 0 ? 0.0F : 1.0F / of_query.sum;
        LOCUS_UNROLL
        for (int n = 0; n < n_tiles; ++n) store(out.of(query, at.head) + 8 * n + mma_column(e), factor * sums[n].at[e]);
        if (mma_column(e) == 0) log_sum_exp[query * pairs.heads + at.head] = of_query.log_sum_exp();
    }
}

/// That the registers of a multiprocessor are shared out to.
constexpr int blocks_at_once(int head_dim) { return head_dim == 128 ? 2 : 3; }

template <class T, int head_dim>
__global__ void __launch_bounds__(tile_threads, blocks_at_once(head_dim))
    attention_fused_forward_kernel(AttentionPairs<T> pairs, HeadRows<T> out, float* log_sum_exp) {
    auto& tiles = *shared_memory<AttentionTiles<head_dim>>();
    const TileRows mine = rows_of_tile(pairs.q_offsets, pairs.sequences, blockIdx.x / pairs.heads);
    AttentionTile at = {.head = blockIdx.x % pairs.heads,
                        .sequence = mine.sequence,
                        .queries = mine.rows,
                        .keys = {},
                        .factor = pairs.factor_of_sequence(mine.sequence),
                        .runs_on = true};
    if (at.queries.begin == at.queries.end) return;
    fill_queries(pairs, at, tiles);
    SoftmaxOfStrip softmax;
    MmaC sums[head_dim / 8];
    const std::int64_t end = pairs.k_offsets[at.sequence + 1];
    for (std::int64_t first = pairs.k_offsets[at.sequence]; first < end; first += tile_rows) {
        at.keys = tile_from(first, end);
        __syncthreads();  // the last tile has been read
        find_positions(pairs, at, tiles);
        if (hidden(pairs, at, tiles)) continue;
        fill_bias(pairs, at, tiles);
        fill_keys(pairs, at, tiles);
        finish_filling();
        attend(pairs, at, tiles, softmax, sums);
    }
    wait_for_copies();  // of queries that see no tile of keys
    write_queries(pairs, at, softmax, sums, out, log_sum_exp);
}

template <class T, int head_dim>
void forward(const AttentionForward& args) {
    const char* const op = "attention_forward";
    const AttentionPairs<T> pairs(op, args);
    launch(one_block_each(op, most_tiles(args.q.shape[0], pairs.sequences) * pairs.heads, tile_threads,
                          bytes_of<head_dim>(parts_for(args.terms, TileParts::content))),
           attention_fused_forward_kernel<T, head_dim>, pairs, HeadRows<T>(args.out), args.log_sum_exp.as<float>());
}

}  // namespace

void attention_fused_forward(const AttentionForward& args) {
    if (queries_are_some_rows(args)) return with_queries_in_slots(args, attention_fused_forward);
    for_storage("attention_forward", args.q.dtype, [&](auto zero) {
        using T = decltype(zero);
        switch (args.q.shape[2]) {
            case 32: return forward<T, 32>(args);
            case 64: return forward<T, 64>(args);
            default: return forward<T, 128>(args);
        }
    });
}

}  // namespace locus::LOCUS_TARGET
