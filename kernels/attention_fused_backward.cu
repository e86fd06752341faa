// Gradients of q, k, value and further channels on tensor cores, from tiles of 64 queries and 64 keys (gpu_attention_backward_tile.h). Those of the
// other terms: attention_fused_terms.cu.
//
//   1. by query    a block for each tile of queries goes through the keys: D, then dq = scale * (dS K + (dS spread by distance) Kband),
//                                                                          da (gpu_attention_channels.h)
//   2. by key      a block for each tile of keys goes through the queries: dvalue = drop(P)^T dout,
//                                                                          dk = scale * (dS^T (Q + u) + (dS^T spread by distance) Qband),
//                                                                          db
//
//   bytes    in 1 q, dout, out, dq once and k, value, bands for each tile of queries; in 2 k, value, dk, dvalue once and the others for each tile
//   flop     content 14 S^2 head_dim per head (scores and dP twice), all on tensor cores
//   bound    tensor cores from some 350 keys on: 0.6 S flop per byte of rows
//   memory   scratch: D [q_rows, heads], and what the terms need; in shared memory at most 141 KB
//   papers   Dao 2022 and 2023 (FlashAttention)

#include "kernels/attention_fused.h"
#include "kernels/gpu_attention_backward_tile.h"
#include "kernels/gpu_attention_channels.h"

namespace locus::LOCUS_TARGET {
namespace {

template <class T>
struct RowGradients {
    float* weighted_sum;  // D, [q_rows, heads]
    HeadRows<T> dq, dk, dvalue;
    bool accumulate;
    ChannelGradients channels[max_attention_channels];
};

/// Rows of a strip to their places, times a factor.
template <class T, int n_tiles>
__device__ void write_strip(const HeadRows<T>& to, Span rows, std::int64_t head, float factor,
                            const MmaC (&sums)[n_tiles], bool accumulate) {
    LOCUS_UNROLL
    for (int e = 0; e < 4; ++e) {
        const std::int64_t row = rows.begin + first_of_strip() + mma_row(e);
        if (row >= rows.end) continue;
        T* const columns = to.of(row, head) + mma_column(e);
        LOCUS_UNROLL
        for (int n = 0; n < n_tiles; ++n)
            store(columns + 8 * n, (accumulate ? load(columns + 8 * n) : 0.0F) + factor * sums[n].at[e]);
    }
}

// ---- 1. by query ----

/// D_i = dout_i . out_i, a warp for its strip.
template <class T>
__device__ void find_weighted_sums(const FusedBackward<T>& b, const AttentionTile& at, float* weighted_sum) {
    const int lane = static_cast<int>(threadIdx.x) % warp_size;
    for (int n = 0; n < strip_rows; ++n) {
        const std::int64_t query = at.queries.begin + first_of_strip() + n;
        float part = 0;
        if (query < at.queries.end)
            for (std::int64_t c = lane; c < b.pairs.head_dim; c += warp_size)
                part += load(b.dout.of(query, at.head) + c) * load(b.out.of(query, at.head) + c);
        part = warp_sum(part);
        if (lane == 0 && query < at.queries.end) weighted_sum[query * b.pairs.heads + at.head] = part;
    }
}

template <class T, int head_dim>
__global__ void __launch_bounds__(tile_threads)
    attention_fused_query_gradients_kernel(FusedBackward<T> b, RowGradients<T> to) {
    auto& tiles = *shared_memory<BackwardTiles<head_dim>>();
    const AttentionPairs<T>& pairs = b.pairs;
    const TileRows mine = rows_of_tile(pairs.q_offsets, pairs.sequences, blockIdx.x / pairs.heads);
    AttentionTile at = tile_of(pairs, mine.sequence);
    at.queries = mine.rows;
    if (at.queries.begin == at.queries.end) return;
    find_weighted_sums(b, at, to.weighted_sum);
    fill_queries<T, head_dim>(pairs, at, tiles);
    fill_dout(b, at, tiles);
    MmaC dq[head_dim / 8];
    const std::int64_t end = pairs.k_offsets[at.sequence + 1];
    for (std::int64_t first = pairs.k_offsets[at.sequence]; first < end; first += tile_rows) {
        at.keys = tile_from(first, end);
        __syncthreads();  // the last tile has been read
        find_positions<T, head_dim>(pairs, at, tiles);
        if (hidden<T, head_dim>(pairs, at, tiles)) continue;
        fill_bias<T, head_dim>(pairs, at, tiles);
        fill_keys<T, head_dim>(pairs, at, tiles);
        finish_filling();
        ScoreStrip dropped, ds;
        find_gradients(b, at, tiles, dropped, ds);
        multiply_strip<tile_rows / 16>(dq, StripOf{ds}, tiles.k.columns_from(0));
        if (pairs.key_table.present()) add_rows_by_distance<head_dim>(pairs.key_table, at, tiles, ds, dq);
        add_channel_gradients_of_queries<T, head_dim>(pairs, at, tiles, ds, to.channels);
    }
    wait_for_copies();  // of queries that see no tile of keys
    write_strip(to.dq, at.queries, at.head, pairs.scale, dq, to.accumulate);
}

// ---- 2. by key ----

/// dk_j += sum_i dS(i, j) Q[r(i, j)]
template <int head_dim>
__device__ void add_rows_of_query_table(const VectorTable& table, const AttentionTile& at,
                                        BackwardTiles<head_dim>& tiles, MmaC (&dk)[head_dim / 8]) {
    const int first = first_of_strip();
    fill_band<head_dim>(table, at, tiles);
    clear_spread<head_dim>(tiles);
    for (int n = static_cast<int>(threadIdx.x) % warp_size; n < strip_rows * tile_rows; n += warp_size) {
        const int j = n % strip_rows, i = n / strip_rows;
        tiles.gradients.spread_by_distance.row(first + j)[i - j + strip_rows - 1] =
            tiles.gradients.ds.row(i)[first + j];
    }
    __syncwarp();
    multiply_strip<strip_distances / 16>(dk, tiles.gradients.spread_by_distance.rows_from(first),
                                         tiles.band.columns_from(tile_rows - strip_rows - first));
}

/// The same pair by pair, for positions that do not run on.
template <int head_dim>
__device__ void add_rows_of_query_table_pair_by_pair(const VectorTable& table, const AttentionTile& at,
                                                     BackwardTiles<head_dim>& tiles, MmaC (&dk)[head_dim / 8]) {
    for (int i = 0; at.queries.begin + i < at.queries.end; ++i) LOCUS_UNROLL
    for (int e = 0; e < 4; ++e) {
        const int j = first_of_strip() + mma_row(e);
        const std::int64_t r = static_cast<std::int64_t>(tiles.q_position[i]) - tiles.k_position[j];
        const float* const row = table.vector(at.head, r) + mma_column(e);
        const float ds = load(tiles.gradients.ds.row(i) + j);
        LOCUS_UNROLL
        for (int n = 0; n < head_dim / 8; ++n) dk[n].at[e] += ds * row[8 * n];
    }
}

/// What a tile of queries contributes to the warp's strip of keys.
template <class T, int head_dim>
__device__ void add_to_keys(const FusedBackward<T>& b, const AttentionTile& at, BackwardTiles<head_dim>& tiles,
                            MmaC (&dk)[head_dim / 8], MmaC (&dvalue)[head_dim / 8]) {
    {
        ScoreStrip dropped, ds;
        find_gradients(b, at, tiles, dropped, ds);
        share_gradients(tiles, dropped, ds);
    }
    multiply_strip<tile_rows / 16>(dvalue, columns_of_strip(tiles.gradients.dropped), tiles.dout.columns_from(0));
    multiply_strip<tile_rows / 16>(dk, columns_of_strip(tiles.gradients.ds), tiles.q_plus_u.columns_from(0));
    if (!b.pairs.query_table.present()) return;
    if (at.runs_on)
        add_rows_of_query_table(b.pairs.query_table, at, tiles, dk);
    else
        add_rows_of_query_table_pair_by_pair(b.pairs.query_table, at, tiles, dk);
}

template <class T, int head_dim>
__global__ void __launch_bounds__(tile_threads)
    attention_fused_key_gradients_kernel(FusedBackward<T> b, RowGradients<T> to) {
    auto& tiles = *shared_memory<BackwardTiles<head_dim>>();
    const AttentionPairs<T>& pairs = b.pairs;
    const TileRows mine = rows_of_tile(pairs.k_offsets, pairs.sequences, blockIdx.x / pairs.heads);
    AttentionTile at = tile_of(pairs, mine.sequence);
    at.keys = mine.rows;
    if (at.keys.begin == at.keys.end) return;
    fill_keys<T, head_dim>(pairs, at, tiles);
    MmaC dk[head_dim / 8], dvalue[head_dim / 8];
    const std::int64_t end = pairs.q_offsets[at.sequence + 1];
    for (std::int64_t first = pairs.q_offsets[at.sequence]; first < end; first += tile_rows) {
        at.queries = tile_from(first, end);
        __syncthreads();  // the last tile has been read
        find_positions<T, head_dim>(pairs, at, tiles);
        if (hidden<T, head_dim>(pairs, at, tiles)) continue;
        fill_bias<T, head_dim>(pairs, at, tiles);
        fill_queries<T, head_dim>(pairs, at, tiles);
        fill_dout(b, at, tiles);
        finish_filling();
        add_to_keys(b, at, tiles, dk, dvalue);
        add_channel_gradients_of_keys<T, head_dim>(pairs, at, tiles, to.channels);
    }
    wait_for_copies();  // of keys that no tile of queries sees
    write_strip(to.dk, at.keys, at.head, pairs.scale, dk, to.accumulate);
    write_strip(to.dvalue, at.keys, at.head, 1.0F, dvalue, to.accumulate);
}

template <class T, int head_dim>
void backward(const AttentionBackward& args) {
    const char* const op = "attention_backward";
    const std::int64_t q_rows = args.q.shape[0], sums = q_rows * args.q.shape[1];
    const FusedTerms terms = plan_fused_terms(args);
    auto* const memory = static_cast<float*>(scratch(static_cast<std::size_t>(sums + terms.end) * sizeof(float)));
    const FusedBackward<T> b(op, args, memory);
    RowGradients<T> to = {.weighted_sum = memory,
                          .dq = HeadRows<T>(args.dq),
                          .dk = HeadRows<T>(args.dk),
                          .dvalue = HeadRows<T>(args.dvalue),
                          .accumulate = args.accumulate,
                          .channels = {}};
    for (int n = 0; n < max_attention_channels; ++n) to.channels[n] = ChannelGradients(args.dterms.channels[n]);
    const auto blocks_for_tiles = [&](std::int64_t rows, TileParts at_least) {
        return one_block_each(op, most_tiles(rows, b.pairs.sequences) * b.pairs.heads, tile_threads,
                              backward_bytes_of<head_dim>(parts_for(args.terms, at_least)));
    };
    launch(blocks_for_tiles(q_rows, TileParts::content), attention_fused_query_gradients_kernel<T, head_dim>, b, to);
    launch(blocks_for_tiles(args.k.shape[0], TileParts::pairs), attention_fused_key_gradients_kernel<T, head_dim>, b,
           to);
    attention_fused_terms(args, terms, memory, memory + sums);
}

}  // namespace

std::size_t most_shared_bytes_of_fused(std::int64_t head_dim, const AttentionTerms& terms) {
    const TileParts last = parts_for(terms, TileParts::pairs);
    switch (head_dim) {
        case 32: return backward_bytes_of<32>(last);
        case 64: return backward_bytes_of<64>(last);
        default: return backward_bytes_of<128>(last);
    }
}

void attention_fused_backward(const AttentionBackward& args) {
    for_storage("attention_backward", args.q.dtype, [&](auto zero) {
        using T = decltype(zero);
        switch (args.q.shape[2]) {
            case 32: return backward<T, 32>(args);
            case 64: return backward<T, 64>(args);
            default: return backward<T, 128>(args);
        }
    });
}

}  // namespace locus::LOCUS_TARGET
