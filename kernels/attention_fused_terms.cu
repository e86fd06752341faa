// What the terms of the score get back, on tensor cores: the gradients of tables and biases by distance, of u and of v.
//
// A tile of 64 queries and 64 keys sees 127 distances, and the tiles on one diagonal all see the same ones:
//
//                     keys
//               +----+----+----+        Diagonal n has the distances 64 n - 63 .. 64 n + 63; the pair (i, j) of a tile is row i - j + 63 of its band.
//               |  0 | -1 | -2 |        A block owns a head, a diagonal and every so-many-th sequence. It walks along the diagonal with the sums of the
//      queries  +----+----+----+        band in registers, so that nobody else adds to them and nothing but them is ever stored.
//               |  1 |  0 | -1 |
//               +----+----+----+
//
//   1. bands          K: sum dS (q_i + v)    Q and u: sum dS k_j    V: sum drop(P) dout_i    biases and v: sum dS    over the pairs of each band row
//   2. by distance    the groups of sequences, and the two diagonals that see a distance
//   3. by row         the distances of each row of a table, and all heads where they share it; u has all distances in one row;
//                     dv = scale sum_r (sum of dS at r) K[row_K(r)]
//
//   The product in 1 is [128, 64] x [64, head_dim]: its left side is the tile of dS read askew, of which 5 of 8 blocks of 16 x 16 are not empty.
//
//   order    every number has one owner, which adds in the order of sequences, tiles and distances
//   flop     scores and dP once more, 4 S^2 head_dim per head and 2.5 for each table among the terms; for each gradient another 2.5
//   bytes    q, k, value, dout once for each tile, from the cache; bands written and read once
//   bound    tensor cores: with two tables 14 S^2 head_dim flop, 1.7 S per byte of q, k, value and dout
//   memory   scratch: groups * heads * 4 longest * head_dim numbers for a table, groups being 64 tiles' worth of the longest sequence, one from 4,096 on
//   limits   sequences whose queries and keys begin at one position and run on, or are made to (attention_some_rows.h); the others are
//            attention_backward.cu's

#include <algorithm>
#include <span>
#include <vector>

#include "kernels/attention_fused.h"
#include "kernels/gpu_attention_backward_tile.h"

namespace locus::LOCUS_TARGET {
namespace {

constexpr const char* name = "attention_backward";
constexpr std::int64_t tiles_of_a_block = 64;  // about; more parallel blocks need more memory

/// More would not fit into the registers.
constexpr int bands_at_once(int head_dim) { return head_dim == 128 ? 1 : 2; }

// ---- diagonals ----

/// The diagonals of a sequence with `tiles` tiles, the longest first: 0, 1, -1, 2, -2 ...
struct Diagonals {
    std::int64_t tiles;

    __host__ __device__ std::int64_t count() const { return 2 * tiles - 1; }
    __device__ static std::int64_t at(std::int64_t place) { return place % 2 == 1 ? (place + 1) / 2 : -place / 2; }
    __device__ static std::int64_t place_of(std::int64_t n) { return n > 0 ? 2 * n - 1 : -2 * n; }
    /// Distances, the first of which is -farthest().
    __host__ __device__ std::int64_t farthest() const { return tile_rows * tiles - 1; }
    __host__ __device__ std::int64_t distances() const { return 2 * farthest() + 1; }
};

/// The sums of every band, [groups, places of diagonals, heads, band_rows, columns].
struct Bands {
    float* data;
    std::int64_t groups, heads, columns;
    Diagonals diagonals;

    __host__ __device__ std::int64_t count() const { return groups * diagonals.count() * heads * band_rows * columns; }
    __device__ float* of(std::int64_t group, std::int64_t place, std::int64_t head) const {
        return data + ((group * diagonals.count() + place) * heads + head) * band_rows * columns;
    }
};

// ---- 1. the sums of a band ----

/// sum dS (q_i + v), sum dS k_j, sum drop(P) dout_i
enum class Summand : std::uint8_t { none, queries, keys, douts };

struct WantedBands {
    Summand what = Summand::none;
    Bands to = {};
};

template <int head_dim>
struct BandSums {
    WantedBands of[bands_at_once(head_dim)] = {};
    Bands pairs = {};             // sum dS, one column; no data where nobody asks
    const std::int32_t* regular;  // [sequences]
    std::int64_t groups;
    Diagonals diagonals;
};

/// A tile of pairs as the left operand A[x, n]: the pair of query n (or of key n) that stands in band row x, if there is one.
struct Askew {
    const SharedRows<tile_rows, tile_rows>& pairs;
    bool by_query;

    /// The other one of the pair.
    __device__ int other(int x, int n) const { return by_query ? n + middle_of_band - x : n - middle_of_band + x; }
    /// Whether any of the 16 x 16 from (x, n) on is a pair.
    __device__ bool meets(int x, int n) const {
        const int smallest = by_query ? other(x + 15, n) : other(x, n);
        return smallest < tile_rows && smallest + 30 >= 0;
    }
    __device__ bfloat16_t operator()(int x, int n) const {
        const int m = other(x, n);
        if (m < 0 || m >= tile_rows) return {};
        return pairs.data[by_query ? n * pairs.stride + m : m * pairs.stride + n];
    }
};

/// Of a band's 128 rows, a warp has 16 and, 64 behind them, 16 more.
template <int n_tiles>
using BandStrips = MmaC[2][n_tiles];

__device__ inline int band_row_of_strip(int half) { return half * tile_rows + first_of_strip(); }

/// sums[x] += sum_n pairs(x, n) rows[n]
template <int n_tiles, class Rows>
__device__ void add_to_band(BandStrips<n_tiles>& sums, const Askew& pairs, const Rows& rows) {
    LOCUS_UNROLL
    for (int half = 0; half < 2; ++half) {
        const int first = band_row_of_strip(half);
        for (int step = 0; step < tile_rows / 16; ++step) {
            if (!pairs.meets(first, 16 * step)) continue;
            const MmaA fragment = mma_a_of([&](int x, int n) { return pairs(first + x, 16 * step + n); });
            multiply_step(sums[half], fragment, rows, step);
        }
    }
}

/// What a tile, whose gradients are in shared memory, adds to a table's band.
template <class T, int head_dim>
__device__ void add_to_table(const AttentionPairs<T>& pairs, Summand what, BackwardTiles<head_dim>& tiles,
                             BandStrips<head_dim / 8>& sums) {
    if (what == Summand::none) return;
    const bool of_keys = what == Summand::keys, of_douts = what == Summand::douts;
    SharedRows<tile_rows, head_dim>& rows = of_keys    ? tiles.k
                                            : of_douts ? tiles.dout
                                                       : queries_for_table<T, head_dim>(pairs, tiles);
    add_to_band(sums, Askew{of_douts ? tiles.gradients.dropped : tiles.gradients.ds, !of_keys}, rows.columns_from(0));
}

/// sum of dS over the pairs in the band row that has the number of the thread: in float32, since such sums nearly cancel.
template <int head_dim>
__device__ float sum_of_pairs(BackwardTiles<head_dim>& tiles, const ScoreStrip& ds) {
    static_assert(tile_threads == band_rows);
    __syncthreads();  // by_distance has been read
    LOCUS_UNROLL
    for (int n = 0; n < tile_columns; ++n) LOCUS_UNROLL
    for (int e = 0; e < 4; ++e) tiles.by_distance[first_of_strip() + mma_row(e)][8 * n + mma_column(e)] = ds[n].at[e];
    __syncthreads();
    const int shift = middle_of_band - static_cast<int>(threadIdx.x);  // j - i
    float sum = 0;
    for (int i = shift < 0 ? -shift : 0; i < tile_rows && i + shift < tile_rows; ++i)
        sum += tiles.by_distance[i][i + shift];
    return sum;
}

template <class T, int head_dim>
__device__ void fill_tile(const FusedBackward<T>& b, const AttentionTile& at, BackwardTiles<head_dim>& tiles) {
    fill_bias<T, head_dim>(b.pairs, at, tiles);
    fill_queries<T, head_dim>(b.pairs, at, tiles);
    fill_keys<T, head_dim>(b.pairs, at, tiles);
    fill_dout(b, at, tiles);
    finish_filling();
}

/// What a block sums up.
template <int head_dim>
struct SumsOfBlock {
    BandStrips<head_dim / 8> of[bands_at_once(head_dim)];
    float pairs = 0;
};

template <class T, int head_dim>
__device__ void add_tile(const FusedBackward<T>& b, const BandSums<head_dim>& wanted, const AttentionTile& at,
                         BackwardTiles<head_dim>& tiles, SumsOfBlock<head_dim>& sums) {
    {
        ScoreStrip dropped, ds;
        find_gradients(b, at, tiles, dropped, ds);
        if (wanted.pairs.data != nullptr) sums.pairs += sum_of_pairs(tiles, ds);
        share_gradients(tiles, dropped, ds);
    }
    LOCUS_UNROLL
    for (int n = 0; n < bands_at_once(head_dim); ++n) add_to_table(b.pairs, wanted.of[n].what, tiles, sums.of[n]);
}

/// The tiles of a sequence on a diagonal.
template <class T, int head_dim>
__device__ void add_diagonal(const FusedBackward<T>& b, const BandSums<head_dim>& wanted, std::int64_t sequence,
                             std::int64_t diagonal, SumsOfBlock<head_dim>& sums) {
    auto& tiles = *shared_memory<BackwardTiles<head_dim>>();
    const AttentionPairs<T>& pairs = b.pairs;
    AttentionTile at = tile_of(pairs, sequence);
    at.queries.end = pairs.q_offsets[sequence] + (diagonal > 0 ? diagonal : 0) * tile_rows;
    at.keys.end = pairs.k_offsets[sequence] + (diagonal < 0 ? -diagonal : 0) * tile_rows;
    while (true) {
        at.queries = tile_from(at.queries.end, pairs.q_offsets[sequence + 1]);
        at.keys = tile_from(at.keys.end, pairs.k_offsets[sequence + 1]);
        if (at.queries.begin >= at.queries.end || at.keys.begin >= at.keys.end) return;
        __syncthreads();  // the last tile has been read
        find_positions<T, head_dim>(pairs, at, tiles);
        if (hidden<T, head_dim>(pairs, at, tiles)) return;  // the others of the diagonal are too
        fill_tile(b, at, tiles);
        add_tile(b, wanted, at, tiles, sums);
    }
}

template <int n_tiles>
__device__ void write_band(float* to, const BandStrips<n_tiles>& sums) {
    LOCUS_UNROLL
    for (int half = 0; half < 2; ++half) LOCUS_UNROLL
    for (int n = 0; n < n_tiles; ++n) LOCUS_UNROLL
    for (int e = 0; e < 4; ++e)
        to[(band_row_of_strip(half) + mma_row(e)) * 8 * n_tiles + 8 * n + mma_column(e)] = sums[half][n].at[e];
}

template <class T, int head_dim>
__global__ void __launch_bounds__(tile_threads)
    attention_band_sums_kernel(FusedBackward<T> b, BandSums<head_dim> wanted) {
    const std::int64_t heads = b.pairs.heads, head = blockIdx.x % heads, group = blockIdx.x / heads % wanted.groups,
                       place = blockIdx.x / heads / wanted.groups;
    SumsOfBlock<head_dim> sums;
    for (std::int64_t s = group; s < b.pairs.sequences; s += wanted.groups)
        if (wanted.regular[s] != 0) add_diagonal(b, wanted, s, Diagonals::at(place), sums);
    LOCUS_UNROLL
    for (int n = 0; n < bands_at_once(head_dim); ++n)
        if (wanted.of[n].what != Summand::none) write_band(wanted.of[n].to.of(group, place, head), sums.of[n]);
    if (wanted.pairs.data != nullptr) wanted.pairs.of(group, place, head)[threadIdx.x] = sums.pairs;
}

// ---- 2. by distance ----

/// Where a distance stands: row x of diagonal n, and unless x is the band's middle also row x - 64 of diagonal n + 1.
struct PlaceInBand {
    std::int64_t diagonal, row;

    __device__ explicit PlaceInBand(std::int64_t r)
        : diagonal(r >= 0 ? r / tile_rows : -((tile_rows - 1 - r) / tile_rows)),
          row(r - diagonal * tile_rows + middle_of_band) {}
};

// to: [heads, distances, columns]
__global__ void add_bands_kernel(Bands bands, float* to) {
    const Diagonals diagonals = bands.diagonals;
    const std::int64_t i = index_in_grid(), column = i % bands.columns,
                       index = i / bands.columns % diagonals.distances(),
                       head = i / bands.columns / diagonals.distances();
    if (head >= bands.heads) return;
    const PlaceInBand first(index - diagonals.farthest());
    float sum = 0;
    for (std::int64_t group = 0; group < bands.groups; ++group)
        for (std::int64_t n = first.diagonal, x = first.row; x >= 0; ++n, x -= tile_rows) {
            if (n <= -diagonals.tiles || n >= diagonals.tiles) continue;
            sum += bands.of(group, Diagonals::place_of(n), head)[x * bands.columns + column];
        }
    to[i] = sum;
}

// ---- 3. by row ----

/// Which row of a term a distance belongs to.
struct RowOfDistance {
    const std::int32_t* map = nullptr;  // null: every distance has its own
    std::int64_t reach = 0;             // beyond, they are as at it

    __device__ std::int64_t operator()(std::int64_t r) const {
        const std::int64_t index = index_of_distance(r, reach);
        return map == nullptr ? index : map[index];
    }
};

/// The indices first .. last - 1 of distances: all of a row's are among them, and in the tables of most encodings no others.
struct Distances {
    std::int32_t first, last;
};

// A thread for each row.
__global__ void find_distances_kernel(RowOfDistance row_of, std::int64_t rows, Diagonals diagonals, Distances* of_row) {
    const std::int64_t row = index_in_grid();
    if (row >= rows) return;
    Distances found = {0, 0};
    for (std::int64_t n = 0; n < diagonals.distances(); ++n) {
        if (row_of(n - diagonals.farthest()) != row) continue;
        if (found.last == 0) found.first = static_cast<std::int32_t>(n);
        found.last = static_cast<std::int32_t>(n + 1);
    }
    of_row[row] = found;
}

/// The gradient of a term, [heads or 1, rows, columns].
struct TermGradient {
    float* data;
    std::int64_t heads, rows, columns, head_stride, row_stride;

    /// `by_distance`: the gradient of a matrix, whose columns are distances, and not those of a vector.
    TermGradient(const Tensor& x, bool by_distance)
        : data(x.as<float>()),
          heads(x.shape[0]),
          rows(x.shape.rank() == 3 || by_distance ? x.shape[1] : 1),
          columns(x.count() / (heads * rows)),
          head_stride(x.strides[0]),
          row_stride(rows > 1 ? x.strides[1] : 0) {}
};

// A thread for each number. sums: [heads, distances, columns]
__global__ void add_distances_kernel(const float* sums, std::int64_t heads, Diagonals diagonals, RowOfDistance row_of,
                                     const Distances* of_row, float factor, TermGradient to) {
    const std::int64_t i = index_in_grid(), column = i % to.columns, row = i / to.columns % to.rows,
                       owner = i / to.columns / to.rows;
    if (owner >= to.heads) return;
    const Span of_owner = to.heads == heads ? Span{owner, owner + 1} : Span{0, heads};
    float sum = 0;
    for (std::int64_t head = of_owner.begin; head < of_owner.end; ++head)
        for (std::int64_t n = of_row[row].first; n < of_row[row].last; ++n)
            if (row_of(n - diagonals.farthest()) == row)
                sum += sums[(head * diagonals.distances() + n) * to.columns + column];
    to.data[owner * to.head_stride + row * to.row_stride + column] += factor * sum;
}

// dv[h] += scale sum_r (sum of dS at r) K[row_K(r)], a thread for each number. sums: [heads, distances]
__global__ void add_position_bias_kernel(const float* sums, std::int64_t heads, Diagonals diagonals, VectorTable table,
                                         float scale, TermGradient to) {
    const std::int64_t i = index_in_grid(), head = i / to.columns, column = i % to.columns;
    if (head >= heads) return;
    float sum = 0;
    for (std::int64_t n = 0; n < diagonals.distances(); ++n)
        sum += sums[head * diagonals.distances() + n] * table.vector(head, n - diagonals.farthest())[column];
    to.data[head * to.head_stride + column] += scale * sum;
}

// ---- which sequences ----

// A block for each.
template <class T>
__global__ void mark_regular_kernel(AttentionPairs<T> pairs, std::int32_t* regular) {
    const std::int64_t s = blockIdx.x, q_begin = pairs.q_offsets[s], k_begin = pairs.k_offsets[s],
                       queries = pairs.q_offsets[s + 1] - q_begin, keys = pairs.k_offsets[s + 1] - k_begin;
    int strays = 0;
    if (pairs.q_positions != nullptr && queries > 0 && keys > 0) {
        const std::int32_t first = pairs.k_positions[k_begin];
        for (std::int64_t n = threadIdx.x; n < queries; n += blockDim.x)
            if (pairs.q_positions[q_begin + n] != first + n) strays = 1;
        for (std::int64_t n = threadIdx.x; n < keys; n += blockDim.x)
            if (pairs.k_positions[k_begin + n] != first + n) strays = 1;
    }
    strays = block_max(strays);
    if (threadIdx.x == 0) regular[s] = strays == 0 ? 1 : 0;
}

// ---- putting the parts together ----

/// A table whose gradient is asked for, or u.
struct WantedTable {
    Summand what;
    Tensor gradient;
    RowOfDistance row_of;
    float factor;
};

/// u as a table: one row for all distances.
constexpr RowOfDistance one_row = {};

std::vector<WantedTable> wanted_tables(const AttentionBackward& args) {
    const AttentionTerms& terms = args.terms;
    const auto scale = static_cast<float>(terms.scale);
    const auto rows_of = [](const RelativeTable& table) {
        if (!table) return RowOfDistance();
        return RowOfDistance{table.row_of_distance.as<std::int32_t>(), table.row_of_distance.count() / 2};
    };
    std::vector<WantedTable> wanted = {{Summand::queries, args.dterms.key_table, rows_of(terms.key_table), scale},
                                       {Summand::keys, args.dterms.query_table, rows_of(terms.query_table), scale},
                                       {Summand::douts, args.dterms.value_table, rows_of(terms.value_table), 1.0F},
                                       {Summand::keys, args.dterms.content_bias, one_row, scale}};
    std::erase_if(wanted, [](const WantedTable& one) { return !one.gradient; });
    return wanted;
}

bool wants_sums_of_pairs(const AttentionBackward& args) {
    bool wanted = args.dterms.position_bias && args.terms.key_table;
    for (const Tensor& bias : args.dterms.biases) wanted = wanted || bias;
    return wanted;
}

/// The bands of a term, given its place in scratch memory.
Bands bands_of(const AttentionBackward& args, const FusedTerms& plan, float* data, std::int64_t columns) {
    return {data, plan.groups, args.q.shape[1], columns, {plan.tiles}};
}

/// Where everything is, while the gradients of the terms are being added up.
struct Parts {
    const AttentionBackward& args;
    const FusedTerms& plan;
    float* memory;

    Diagonals diagonals() const { return {plan.tiles}; }
    std::int32_t* regular() const { return reinterpret_cast<std::int32_t*>(memory + plan.regular); }
    Distances* of_row() const { return reinterpret_cast<Distances*>(memory + plan.of_row); }
    float* sums() const { return memory + plan.sums; }
    float* sums_of_pairs() const { return memory + plan.sums_of_pairs; }
    Bands table(int n) const {
        Bands bands = bands_of(args, plan, memory + plan.bands, args.q.shape[2]);
        bands.data += n * bands.count();
        return bands;
    }
    Bands pairs() const { return bands_of(args, plan, memory + plan.pairs, 1); }
};

void add_bands(const Bands& bands, float* to) {
    launch(one_thread_each(name, bands.heads * bands.diagonals.distances() * bands.columns), add_bands_kernel, bands,
           to);
}

void add_distances(const Parts& parts, const float* sums, const RowOfDistance& row_of, float factor,
                   const TermGradient& to) {
    launch(one_thread_each(name, to.rows), find_distances_kernel, row_of, to.rows, parts.diagonals(), parts.of_row());
    launch(one_thread_each(name, to.heads * to.rows * to.columns), add_distances_kernel, sums, parts.args.q.shape[1],
           parts.diagonals(), row_of, parts.of_row(), factor, to);
}

/// The gradients of biases and of v, from the sums of dS by distance.
void add_sums_of_pairs(const Parts& parts) {
    const AttentionBackward& args = parts.args;
    add_bands(parts.pairs(), parts.sums_of_pairs());
    for (const Tensor& gradient : args.dterms.biases)
        if (gradient)
            add_distances(parts, parts.sums_of_pairs(), {nullptr, gradient.shape[1] / 2}, 1.0F,
                          TermGradient(gradient, true));
    if (!args.dterms.position_bias || !args.terms.key_table) return;
    const TermGradient dv(args.dterms.position_bias, false);
    launch(one_thread_each(name, dv.heads * dv.columns), add_position_bias_kernel, parts.sums_of_pairs(), dv.heads,
           parts.diagonals(), VectorTable(args.terms.key_table), static_cast<float>(args.terms.scale), dv);
}

/// As many tables from the first one on as fit into registers, and if `pairs` the sums of pairs. Returns how many.
template <class T, int head_dim>
std::size_t add_some(const Parts& parts, const FusedBackward<T>& b, std::span<const WantedTable> tables, bool pairs) {
    BandSums<head_dim> wanted = {
        .pairs = {}, .regular = parts.regular(), .groups = parts.plan.groups, .diagonals = parts.diagonals()};
    const std::size_t count = std::min<std::size_t>(tables.size(), bands_at_once(head_dim));
    for (std::size_t n = 0; n < count; ++n) wanted.of[n] = {tables[n].what, parts.table(static_cast<int>(n))};
    if (pairs) wanted.pairs = parts.pairs();
    launch(one_block_each(name, wanted.diagonals.count() * wanted.groups * b.pairs.heads, tile_threads,
                          backward_bytes_of<head_dim>(parts_for(parts.args.terms, TileParts::pairs))),
           attention_band_sums_kernel<T, head_dim>, b, wanted);
    for (std::size_t n = 0; n < count; ++n) {
        add_bands(wanted.of[n].to, parts.sums());
        add_distances(parts, parts.sums(), tables[n].row_of, tables[n].factor, TermGradient(tables[n].gradient, false));
    }
    if (pairs) add_sums_of_pairs(parts);
    return count;
}

template <class T, int head_dim>
void add_all(const Parts& parts, const float* weighted_sum) {
    const FusedBackward<T> b(name, parts.args, weighted_sum);
    mark_regular_sequences(parts.args, parts.regular());
    const std::vector<WantedTable> tables = wanted_tables(parts.args);
    std::span<const WantedTable> left = tables;
    bool pairs = wants_sums_of_pairs(parts.args);
    while (pairs || !left.empty()) {
        left = left.subspan(add_some<T, head_dim>(parts, b, left, pairs));
        pairs = false;
    }
}

}  // namespace

FusedTerms plan_fused_terms(const AttentionBackward& args) {
    const std::vector<WantedTable> tables = wanted_tables(args);
    const bool pairs = wants_sums_of_pairs(args);
    const std::int64_t heads = args.q.shape[1], head_dim = args.q.shape[2], sequences = args.q_rows.offsets.count() - 1;
    FusedTerms plan;
    if (tables.empty() && !pairs) return plan;
    std::int64_t most_rows = 1;
    for (const WantedTable& table : tables) most_rows = std::max(most_rows, TermGradient(table.gradient, false).rows);
    for (const Tensor& bias : args.dterms.biases) most_rows = std::max(most_rows, bias ? bias.shape[1] : 0);
    plan.tiles = std::max<std::int64_t>(
        1, blocks_for(std::max(longest_of(args.q_rows, args.q), longest_of(args.k_rows, args.k)), tile_rows));
    plan.groups = std::max<std::int64_t>(1, std::min(sequences, tiles_of_a_block / plan.tiles));
    const auto tables_at_once = std::min<std::int64_t>(std::ssize(tables), bands_at_once(static_cast<int>(head_dim)));
    const std::int64_t distances = heads * Diagonals{plan.tiles}.distances();
    plan.of_row = plan.regular + sequences;
    plan.bands = plan.of_row + 2 * most_rows;
    plan.pairs = plan.bands + tables_at_once * bands_of(args, plan, nullptr, head_dim).count();
    plan.sums = plan.pairs + (pairs ? bands_of(args, plan, nullptr, 1).count() : 0);
    plan.sums_of_pairs = plan.sums + (tables.empty() ? 0 : distances * head_dim);
    plan.end = plan.sums_of_pairs + (pairs ? distances : 0);
    return plan;
}

void attention_fused_terms(const AttentionBackward& args, const FusedTerms& plan, const float* weighted_sum,
                           float* memory) {
    if (plan.end == 0) return;
    const Parts parts = {args, plan, memory};
    for_storage(name, args.q.dtype, [&](auto zero) {
        using T = decltype(zero);
        switch (args.q.shape[2]) {
            case 32: return add_all<T, 32>(parts, weighted_sum);
            case 64: return add_all<T, 64>(parts, weighted_sum);
            default: return add_all<T, 128>(parts, weighted_sum);
        }
    });
}

void mark_regular_sequences(const AttentionBackward& args, std::int32_t* regular) {
    for_storage(name, args.q.dtype, [&](auto zero) {
        const AttentionPairs<decltype(zero)> pairs(name, args);
        launch(one_block_each(name, pairs.sequences, tile_threads), mark_regular_kernel<decltype(zero)>, pairs,
               regular);
    });
}

}  // namespace locus::LOCUS_TARGET
