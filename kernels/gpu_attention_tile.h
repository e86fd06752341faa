#pragma once
// A tile of attention on tensor cores: 64 queries and 64 keys of a sequence and a head, by a block of four warps.
//
//     queries  +-----------------+
//       strip  | warp 0: 16 x 64 |     A warp owns a strip of 16 rows; its scores are eight MmaC of eight keys each.
//       of 16  | warp 1          |
//              | warp 2          |     Where positions run on, as they nearly always do, the tile sees 127 distances: i - j + first, and a band of as
//              | warp 3          |     many rows of each table, band[i - j + 63]. One strip sees 79 of them:
//              +-----------------+
//                64 keys               queries 16w ..      rows 16w ..      of the band, at i - 16w - j + 63     from the left
//                                      keys    16w ..      rows 48 - 16w .. of the band, at i - (j - 16w) + 15   from the left
//
// The products of a strip with its part of the band, [16, 80], go through shared memory, where each pair fetches its own. A tile whose positions do not
// run on takes the terms by distance pair by pair.
//
// Further channels are another product of queries and keys, head_dim of them at a time: the queries' go from memory straight into fragments, as a warp
// needs those of its own strip only, and the keys', which all warps need, through shared memory. Missing ones, up to the next 16, are zeros.
//
//   flop     the band of a table 80/64 of what the content costs; channels as much as as many of the content's
//   memory   in shared memory, at most 124 KB (head_dim 128, all terms)

#include <cstddef>

#include "kernels/attention_fused.h"
#include "kernels/gpu_attention_pair.h"
#include "kernels/gpu_copy.h"
#include "kernels/gpu_mma.h"

namespace locus::LOCUS_TARGET {

constexpr int tile_rows = 64, strip_rows = 16, tile_threads = tile_rows / strip_rows * warp_size;
constexpr int band_rows = 2 * tile_rows, strip_distances = tile_rows + strip_rows, middle_of_band = tile_rows - 1;
constexpr int tile_columns = tile_rows / 8;  // MmaC in a strip of scores

using ScoreStrip = MmaC[tile_columns];

/// A matrix in shared memory. What is added to each row keeps the eight rows that a fragment takes from in different banks, 16 bytes of each.
template <int rows, int columns>
struct SharedRows {
    static constexpr int stride = columns + 8;
    alignas(16) bfloat16_t data[rows * stride];

    __device__ bfloat16_t* row(int n) { return data + n * stride; }
    __device__ RowsOf rows_from(int n) { return {row(n), stride}; }
    __device__ ColumnsOf columns_from(int n) { return {row(n), stride}; }
};

/// What pairs have when their scores are known.
struct TileOfPairs {
    SharedRows<tile_rows, tile_rows> ds;  // dS(i, j)
    union {
        SharedRows<tile_rows, tile_rows> dropped;                   // drop(P(i, j))
        SharedRows<tile_rows, strip_distances> spread_by_distance;  // of a strip: what each pair has, at its distance
    };
};

/// All that a tile needs in shared memory. Who needs less asks only for the first parts.
template <int head_dim>
struct AttentionTiles {
    // content
    SharedRows<tile_rows, head_dim> q_plus_u, k, value;
    std::int32_t q_position[tile_rows], k_position[tile_rows];
    float bias[band_rows];
    // pairs
    union {  // one after the other, with a barrier of the block in between
        float by_distance[tile_rows]
                         [strip_distances + 4];  // of rows with the part of the band that their strip sees; or of pairs
        TileOfPairs gradients;
    };
    // channels, band
    union {  // each is filled anew whenever it is needed
        SharedRows<tile_rows, head_dim> channels;
        SharedRows<band_rows, head_dim> band;
    };
    // q_plus_v
    SharedRows<tile_rows, head_dim> q_plus_v;
};

/// Up to where a kernel needs them: the less, the more blocks run side by side.
enum class TileParts : std::uint8_t { content, pairs, channels, band, q_plus_v };

inline TileParts parts_for(const AttentionTerms& terms, TileParts at_least) {
    if (terms.key_table && (terms.content_bias || terms.position_bias)) return TileParts::q_plus_v;
    if (terms.key_table || terms.query_table || terms.value_table) return TileParts::band;
    return terms.channels[0] || terms.channels[1] || terms.channels[2] ? TileParts::channels : at_least;
}

template <int head_dim>
constexpr std::size_t bytes_of(TileParts last) {
    using Tiles = AttentionTiles<head_dim>;
    switch (last) {
        case TileParts::content: return offsetof(Tiles, by_distance);
        case TileParts::pairs: return offsetof(Tiles, band);
        case TileParts::channels: return offsetof(Tiles, channels) + sizeof(Tiles::channels);
        case TileParts::band: return offsetof(Tiles, q_plus_v);
        default: return sizeof(Tiles);
    }
}

/// Which 64 x 64 pairs, fewer at the ends of a sequence.
struct AttentionTile {
    std::int64_t head, sequence;
    Span queries, keys;
    float factor;  // f_s
    bool runs_on;  // the positions of both do: the band holds what it needs
};

__device__ inline int first_of_strip() { return static_cast<int>(threadIdx.x) / warp_size * strip_rows; }

// ---- which rows ----

/// Tiles of the rows of all sequences when nobody has counted them: sequence s has those from offsets[s] / 64 + s on, which are enough.
inline std::int64_t most_tiles(std::int64_t rows, std::int64_t sequences) { return rows / tile_rows + sequences; }

struct TileRows {
    std::int64_t sequence;
    Span rows;  // none where the sequence has fewer tiles
};

__device__ inline TileRows rows_of_tile(const std::int32_t* offsets, std::int64_t sequences, std::int64_t tile) {
    std::int64_t low = 0, high = sequences;
    while (high - low > 1) {
        const std::int64_t middle = (low + high) / 2;
        (offsets[middle] / tile_rows + middle <= tile ? low : high) = middle;
    }
    const std::int64_t begin = offsets[low] + (tile - offsets[low] / tile_rows - low) * tile_rows,
                       end = offsets[low + 1];
    return {low, {begin < end ? begin : end, begin + tile_rows < end ? begin + tile_rows : end}};
}

/// The tile of rows that begins at `first`, of those before `end`.
__device__ inline Span tile_from(std::int64_t first, std::int64_t end) {
    return {first, first + tile_rows < end ? first + tile_rows : end};
}

// ---- into shared memory ----

/// Rows of a head, plus a shift; zeros after the last. In bfloat16 and without a shift they are copied as they are.
template <class T>
struct RowsOfHead {
    HeadRows<const T> x;
    std::int64_t head;
    Span rows;
    const float* shift;  // [head_dim] or null

    /// Eight numbers to their place.
    __device__ void put(bfloat16_t* to, int row, int column) const {
        if (rows.begin + row >= rows.end) return store_several(to, Several<8>());
        const T* const from = x.of(rows.begin + row, head) + column;
        if constexpr (std::is_same_v<T, bfloat16_t>)
            if (shift == nullptr) return copy_later(to, from);
        Several<8> eight = load_several<8>(from);
        if (shift != nullptr)
            for (int c = 0; c < 8; ++c) eight.of[c] += shift[column + c];
        store_several(to, eight);
    }
};
/// Rows of a table from a distance on.
struct RowsOfBand {
    VectorTable table;
    std::int64_t head, first;

    __device__ void put(bfloat16_t* to, int row, int column) const {
        store_several(to, load_several<8>(table.vector(head, first + row) + column));
    }
};

/// Of further channels those from `first` on; zeros after the last, and after the last row.
struct ChannelsOfRows {
    HeadRows<const float> x;
    std::int64_t head;
    Span rows;
    std::int64_t first;

    __device__ float at(int row, int column) const {
        const bool exists = rows.begin + row < rows.end && first + column < x.channels;
        return exists ? x.of(rows.begin + row, head)[first + column] : 0.0F;
    }
    __device__ bool begin_at_16_bytes() const {
        const auto address = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(x.data) / sizeof(float));
        return ((address | x.row_stride | x.head_stride) & 3) == 0;
    }
    __device__ void put(bfloat16_t* to, int row, int column) const {
        if (begin_at_16_bytes() && rows.begin + row < rows.end && first + column + 8 <= x.channels)
            return store_several(to, load_several<8>(x.of(rows.begin + row, head) + first + column));
        Several<8> eight;
        for (int c = 0; c < 8; ++c) eight.of[c] = at(row, column + c);
        store_several(to, eight);
    }
    /// As the left operand of a product: 16 rows from `row` on, 16 channels from `column` on.
    __device__ MmaA fragment(int row, int column) const {
        return mma_a_of([&](int i, int k) {
            bfloat16_t rounded;
            store(&rounded, at(row + i, column + k));
            return rounded;
        });
    }
};

/// They can be read after finish_filling().
template <int rows, int columns, class Source>
__device__ void fill(SharedRows<rows, columns>& to, const Source& source) {
    for (int n = static_cast<int>(threadIdx.x); n < rows * columns / 8; n += tile_threads) {
        const int row = n / (columns / 8), column = n % (columns / 8) * 8;
        source.put(to.row(row) + column, row, column);
    }
}

/// What any thread has filled can be read by all.
__device__ inline void finish_filling() {
    wait_for_copies();
    __syncthreads();
}

/// Where q_i + v stands: with q_i + u, when there is neither.
template <class T, int head_dim>
__device__ SharedRows<tile_rows, head_dim>& queries_for_table(const AttentionPairs<T>& pairs,
                                                              AttentionTiles<head_dim>& tiles) {
    return pairs.content_bias == pairs.position_bias ? tiles.q_plus_u : tiles.q_plus_v;
}

template <class T, int head_dim>
__device__ void fill_queries(const AttentionPairs<T>& pairs, const AttentionTile& at, AttentionTiles<head_dim>& tiles) {
    fill(tiles.q_plus_u, RowsOfHead<T>{pairs.q, at.head, at.queries, pairs.of_head(pairs.content_bias, at.head)});
    if (pairs.key_table.present() && &queries_for_table(pairs, tiles) == &tiles.q_plus_v)
        fill(tiles.q_plus_v, RowsOfHead<T>{pairs.q, at.head, at.queries, pairs.of_head(pairs.position_bias, at.head)});
}
template <class T, int head_dim>
__device__ void fill_keys(const AttentionPairs<T>& pairs, const AttentionTile& at, AttentionTiles<head_dim>& tiles) {
    fill(tiles.k, RowsOfHead<T>{pairs.k, at.head, at.keys, nullptr});
    fill(tiles.value, RowsOfHead<T>{pairs.value, at.head, at.keys, nullptr});
}

/// Positions, zeros where nothing depends on them. Half of the threads take the queries', the others the keys'.
template <class T, int head_dim>
__device__ void find_positions(const AttentionPairs<T>& pairs, AttentionTile& at, AttentionTiles<head_dim>& tiles) {
    const bool of_queries = threadIdx.x < tile_rows;
    const int n = static_cast<int>(threadIdx.x) % tile_rows;
    const std::int32_t* const positions = of_queries ? pairs.q_positions : pairs.k_positions;
    const Span rows = of_queries ? at.queries : at.keys;
    const bool exists = positions != nullptr && rows.begin + n < rows.end;
    const std::int32_t position = exists ? positions[rows.begin + n] : 0;
    (of_queries ? tiles.q_position : tiles.k_position)[n] = position;
    at.runs_on = block_max(exists && position != positions[rows.begin] + n ? 1 : 0) == 0;
}

/// The distance of the first query from the first key.
template <int head_dim>
__device__ std::int64_t first_distance(const AttentionTiles<head_dim>& tiles) {
    return static_cast<std::int64_t>(tiles.q_position[0]) - tiles.k_position[0];
}

/// Whether the window can hide all pairs of a tile.
template <class T, int head_dim>
__device__ bool hidden(const AttentionPairs<T>& pairs, const AttentionTile& at, const AttentionTiles<head_dim>& tiles) {
    const std::int64_t r = first_distance(tiles);
    return at.runs_on && pairs.window > 0 && (r - middle_of_band > pairs.window || r + middle_of_band < -pairs.window);
}

/// The sum of the biases for each distance that the tile sees.
template <class T, int head_dim>
__device__ void fill_bias(const AttentionPairs<T>& pairs, const AttentionTile& at, AttentionTiles<head_dim>& tiles) {
    tiles.bias[threadIdx.x] = pairs.bias(at.head, first_distance(tiles) - middle_of_band + threadIdx.x);
}

/// Waits until the last band has been read, and until this one can be.
template <int head_dim>
__device__ void fill_band(const VectorTable& table, const AttentionTile& at, AttentionTiles<head_dim>& tiles) {
    __syncthreads();
    fill(tiles.band, RowsOfBand{table, at.head, first_distance(tiles) - middle_of_band});
    finish_filling();
}

/// Waits likewise. The columns are the channels.
template <int head_dim>
__device__ void fill_channels(const ChannelsOfRows& channels, AttentionTiles<head_dim>& tiles) {
    __syncthreads();
    fill(tiles.channels, channels);
    finish_filling();
}

// ---- scores ----

/// score(i, j) += tiles.by_distance[i][j], where there are products of pairs.
template <int head_dim>
__device__ void add_products(const AttentionTiles<head_dim>& tiles, ScoreStrip& score) {
    LOCUS_UNROLL
    for (int n = 0; n < tile_columns; ++n) LOCUS_UNROLL
    for (int e = 0; e < 4; ++e)
        score[n].at[e] += tiles.by_distance[first_of_strip() + mma_row(e)][8 * n + mma_column(e)];
}

/// by_distance[i][j] = a_i . b_j, a thread those of its own score. Out of line: what it needs of registers is not taken from scores without channels.
template <int head_dim>
__device__ [[gnu::noinline]] void multiply_channels(AttentionTiles<head_dim>& tiles, ChannelsOfRows a,
                                                    ChannelsOfRows b) {
    ScoreStrip product;
    for (; b.first < b.x.channels; a.first += head_dim, b.first += head_dim) {
        fill_channels(b, tiles);
        for (int c = 0; c < head_dim && b.first + c < b.x.channels; c += 16)
            multiply_strip<1>(
                product, [&](int) { return a.fragment(first_of_strip(), c); },
                RowsOf{tiles.channels.row(0) + c, tiles.channels.stride});
    }
    LOCUS_UNROLL
    for (int n = 0; n < tile_columns; ++n) LOCUS_UNROLL
    for (int e = 0; e < 4; ++e)
        tiles.by_distance[first_of_strip() + mma_row(e)][8 * n + mma_column(e)] = product[n].at[e];
}

/// score(i, j) += sum_n a_n,i . b_n,j
template <class T, int head_dim>
__device__ void add_channel_products(const AttentionPairs<T>& pairs, const AttentionTile& at,
                                     AttentionTiles<head_dim>& tiles, ScoreStrip& score) {
    LOCUS_UNROLL
    for (int n = 0; n < max_attention_channels; ++n) {
        if (!pairs.channels[n].key.present()) continue;
        multiply_channels<head_dim>(tiles, {pairs.channels[n].query, at.head, at.queries, 0},
                                    {pairs.channels[n].key, at.head, at.keys, 0});
        add_products(tiles, score);
    }
}

/// Columns first .. first + columns - 1 of what multiply_by_band does.
template <int head_dim, int first, int columns>
__device__ void multiply_by_part_of_band(AttentionTiles<head_dim>& tiles, const RowsOf& rows, int band) {
    MmaC product[columns / 8];
    multiply_strip<head_dim / 16>(product, rows, tiles.band.rows_from(band + first));
    LOCUS_UNROLL
    for (int n = 0; n < columns / 8; ++n) LOCUS_UNROLL
    for (int e = 0; e < 4; ++e)
        tiles.by_distance[first_of_strip() + mma_row(e)][first + 8 * n + mma_column(e)] = product[n].at[e];
}
/// tiles.by_distance = a strip of rows times the strip's part of the band, which begins at row `band`. All at once would take too many registers.
template <int head_dim>
__device__ void multiply_by_band(AttentionTiles<head_dim>& tiles, const RowsOf& rows, int band) {
    constexpr int half = strip_distances / 32 * 16;
    multiply_by_part_of_band<head_dim, 0, half>(tiles, rows, band);
    multiply_by_part_of_band<head_dim, half, strip_distances - half>(tiles, rows, band);
}

/// score(i, j) += row_i . band[i - j + 63], for rows that belong to queries.
template <int head_dim>
__device__ void add_products_of_queries(AttentionTiles<head_dim>& tiles, SharedRows<tile_rows, head_dim>& rows,
                                        ScoreStrip& score) {
    const int first = first_of_strip();
    multiply_by_band(tiles, rows.rows_from(first), first);
    __syncwarp();  // the strip is the warp's own
    LOCUS_UNROLL
    for (int n = 0; n < tile_columns; ++n) LOCUS_UNROLL
    for (int e = 0; e < 4; ++e)
        score[n].at[e] += tiles.by_distance[first + mma_row(e)][mma_row(e) - (8 * n + mma_column(e)) + middle_of_band];
}

/// score(i, j) += k_j . band[i - j + 63]
template <int head_dim>
__device__ void add_products_of_keys(AttentionTiles<head_dim>& tiles, ScoreStrip& score) {
    const int first = first_of_strip();
    multiply_by_band(tiles, tiles.k.rows_from(first), tile_rows - strip_rows - first);
    __syncthreads();  // each warp reads what all have computed
    LOCUS_UNROLL
    for (int n = 0; n < tile_columns; ++n) LOCUS_UNROLL
    for (int e = 0; e < 4; ++e) {
        const int i = first + mma_row(e), j = 8 * n + mma_column(e);
        score[n].at[e] += tiles.by_distance[j][i - j % strip_rows + strip_rows - 1];
    }
}

/// score(i, j) += product_of(i, j, r(i, j)), for positions that do not run on. Through shared memory, so that the loop with the products stays a loop.
template <int head_dim, class ProductOf>
__device__ void add_products_pair_by_pair(const AttentionTile& at, AttentionTiles<head_dim>& tiles,
                                          const ProductOf& product_of, ScoreStrip& score) {
    const int first = first_of_strip();
    for (int n = 0; n < 4 * tile_columns; ++n) {
        const int i = first + mma_row(n % 4), j = n / 4 * 8 + mma_column(n % 4);
        const bool exists = at.queries.begin + i < at.queries.end && at.keys.begin + j < at.keys.end;
        const std::int64_t r = static_cast<std::int64_t>(tiles.q_position[i]) - tiles.k_position[j];
        tiles.by_distance[i][j] = exists ? product_of(i, j, r) : 0.0F;
    }
    add_products(tiles, score);
}

/// A score of which the products are known.
template <class T, int head_dim>
__device__ float finished_score(const AttentionPairs<T>& pairs, const AttentionTile& at,
                                const AttentionTiles<head_dim>& tiles, int i, int j, float products) {
    if (at.queries.begin + i >= at.queries.end || at.keys.begin + j >= at.keys.end) return -INFINITY;
    const std::int64_t r = static_cast<std::int64_t>(tiles.q_position[i]) - tiles.k_position[j];
    if (!pairs.visible(r)) return -INFINITY;
    const float bias = at.runs_on ? tiles.bias[i - j + middle_of_band] : pairs.bias(at.head, r);
    return at.factor * (pairs.scale * products + bias);
}

/// (q_i + v) . K[row_K(r)] + k_j . Q[row_Q(r)], all that depends on the distance.
template <class T, int head_dim>
__device__ void add_position_products(const AttentionPairs<T>& pairs, const AttentionTile& at,
                                      AttentionTiles<head_dim>& tiles, ScoreStrip& score) {
    if (!pairs.key_table.present() && !pairs.query_table.present()) return;
    if (!at.runs_on)
        return add_products_pair_by_pair(
            at, tiles,
            [&](int i, int j, std::int64_t r) {
                return pairs.position_products({at.queries.begin + i, at.keys.begin + j, at.head}, r);
            },
            score);
    if (pairs.key_table.present()) {
        fill_band(pairs.key_table, at, tiles);
        add_products_of_queries(tiles, queries_for_table(pairs, tiles), score);
    }
    if (pairs.query_table.present()) {
        fill_band(pairs.query_table, at, tiles);
        add_products_of_keys(tiles, score);
    }
}

/// The scores of the warp's strip; minus infinity where there is no pair or it is not visible.
template <class T, int head_dim>
__device__ void find_scores(const AttentionPairs<T>& pairs, const AttentionTile& at, AttentionTiles<head_dim>& tiles,
                            ScoreStrip& score) {
    const int first = first_of_strip();
    multiply_strip<head_dim / 16>(score, tiles.q_plus_u.rows_from(first), tiles.k.rows_from(0));
    add_channel_products(pairs, at, tiles, score);
    add_position_products(pairs, at, tiles, score);
    LOCUS_UNROLL
    for (int n = 0; n < tile_columns; ++n) LOCUS_UNROLL
    for (int e = 0; e < 4; ++e)
        score[n].at[e] = finished_score(pairs, at, tiles, first + mma_row(e), 8 * n + mma_column(e), score[n].at[e]);
}

// ---- exponentials ----

/// exp(x) = 2^(x log2_of_e), which a GPU has an instruction for. Its error, 2^-22 of the result, is nothing beside the rounding to bfloat16.
constexpr float log2_of_e = 1.4426950408889634F;

#ifdef __CUDACC__
__device__ inline float power_of_two(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
#else
inline float power_of_two(float x) { return exp2f(x); }
#endif

// ---- dropout ----

/// Which pairs of the strip are kept: 8 bits for eight keys of a query, from one Philox call. Of the four lanes that share a query, lane t draws for
/// tiles of columns t and t + 4.
struct KeptStrip {
    std::uint32_t drawn_by[4];

    __device__ bool keeps(int n, int e) const {
        return (drawn_by[n % 4] >> (8 * (n / 4 * 2 + e / 2) + mma_column(e)) & 1U) != 0;
    }
};

template <class T>
__device__ KeptStrip draw_kept(const AttentionPairs<T>& pairs, const AttentionTile& at) {
    const int lane = static_cast<int>(threadIdx.x) % warp_size, t = lane % 4;
    const std::int64_t eight = (at.keys.begin - pairs.k_offsets[at.sequence]) / 8 + t;
    std::uint32_t drawn = 0;
    for (int half = 0; half < 2; ++half) {
        const std::int64_t query = at.queries.begin + first_of_strip() + mma_row(2 * half);
        if (query >= at.queries.end) continue;
        const auto c1 = static_cast<std::uint32_t>(pairs.dropout_position[query]),
                   c2 = static_cast<std::uint32_t>(pairs.dropout_sequence[query] * pairs.heads + at.head);
        for (int n = 0; n < 2; ++n)
            drawn |= kept_of_eight(pairs.dropout, static_cast<std::uint32_t>(eight + 4 * n), c1, c2)
                     << (8 * (2 * n + half));
    }
    KeptStrip kept;
    for (int n = 0; n < 4; ++n) kept.drawn_by[n] = __shfl_sync(full_warp, drawn, lane - t + n);
    return kept;
}

/// x = drop(x)
template <class T>
__device__ void drop(const AttentionPairs<T>& pairs, const AttentionTile& at, ScoreStrip& x) {
    if (!pairs.drops) return;
    const KeptStrip kept = draw_kept(pairs, at);
    LOCUS_UNROLL
    for (int n = 0; n < tile_columns; ++n) LOCUS_UNROLL
    for (int e = 0; e < 4; ++e)
        x[n].at[e] = kept.keeps(n, e) ? x[n].at[e] * static_cast<float>(pairs.dropout.scale) : 0.0F;
}

// ---- sums by distance ----

/// Fills the warp's strip with zeros.
template <int head_dim>
__device__ void clear_spread(AttentionTiles<head_dim>& tiles) {
    __syncwarp();  // what was there has been read
    for (int n = static_cast<int>(threadIdx.x) % warp_size; n < strip_rows * strip_distances; n += warp_size)
        store(tiles.gradients.spread_by_distance.row(first_of_strip() + n / strip_distances) + n % strip_distances,
              0.0F);
    __syncwarp();
}

/// spread_by_distance[i, i - j + 63] = x(i, j), as the strip sees it; 0 elsewhere.
template <int head_dim>
__device__ void spread_queries(AttentionTiles<head_dim>& tiles, const ScoreStrip& x) {
    const int first = first_of_strip();
    clear_spread(tiles);
    LOCUS_UNROLL
    for (int n = 0; n < tile_columns; ++n) LOCUS_UNROLL
    for (int e = 0; e < 4; ++e)
        store(tiles.gradients.spread_by_distance.row(first + mma_row(e)) + mma_row(e) - (8 * n + mma_column(e)) +
                  middle_of_band,
              x[n].at[e]);
    __syncwarp();
}

/// sum(i) += sum_j x(i, j) table[r(i, j)] pair by pair, for positions that do not run on.
template <int head_dim>
__device__ void add_rows_pair_by_pair(const VectorTable& table, const AttentionTile& at,
                                      AttentionTiles<head_dim>& tiles, const ScoreStrip& x, MmaC (&sum)[head_dim / 8]) {
    const int first = first_of_strip();
    __syncthreads();  // by_distance, which is in the same place, has been read
    LOCUS_UNROLL
    for (int n = 0; n < tile_columns; ++n) LOCUS_UNROLL
    for (int e = 0; e < 4; ++e)
        store(tiles.gradients.spread_by_distance.row(first + mma_row(e)) + 8 * n + mma_column(e), x[n].at[e]);
    __syncwarp();
    for (int j = 0; at.keys.begin + j < at.keys.end; ++j) LOCUS_UNROLL
    for (int e = 0; e < 4; ++e) {
        const int i = first + mma_row(e);
        const std::int64_t r = static_cast<std::int64_t>(tiles.q_position[i]) - tiles.k_position[j];
        const float* const row = table.vector(at.head, r) + mma_column(e);
        const float factor = load(tiles.gradients.spread_by_distance.row(i) + j);
        LOCUS_UNROLL
        for (int n = 0; n < head_dim / 8; ++n) sum[n].at[e] += factor * row[8 * n];
    }
}

/// sum(i) += sum_j x(i, j) table[r(i, j)]
template <int head_dim>
__device__ void add_rows_by_distance(const VectorTable& table, const AttentionTile& at, AttentionTiles<head_dim>& tiles,
                                     const ScoreStrip& x, MmaC (&sum)[head_dim / 8]) {
    if (!at.runs_on) return add_rows_pair_by_pair(table, at, tiles, x, sum);
    const int first = first_of_strip();
    fill_band(table, at, tiles);
    spread_queries(tiles, x);
    multiply_strip<strip_distances / 16>(sum, tiles.gradients.spread_by_distance.rows_from(first),
                                         tiles.band.columns_from(first));
}

}  // namespace locus::LOCUS_TARGET
