#pragma once
// A tile of queries x keys of one head: where it lies, what its operands are, and its scores. Shared by forward and backward.
//
//   tile memory   block_rows spare rows above and below, and most_block_rows spare columns left and right and a vector more, because blocks of rows
//                 and whole vectors look past the ends (attention_band.h). They hold zeros whenever the tile is read.

#include <type_traits>
#include <vector>

#include "kernels/attention_check.h"
#include "kernels/attention_pairs.h"
#include "kernels/isa.h"

namespace locus::LOCUS_TARGET {

constexpr int64_t q_tile = 64;
constexpr int64_t k_tile = dropout_chunk;  // 128: a row of a tile is one call of dropout_bits

template <class T>
struct TileShape {
    static constexpr int64_t left = round_up(most_block_rows, VectorOf<T>::width);
    static constexpr int64_t right = round_up(most_block_rows + VectorOf<T>::width, VectorOf<T>::width);
    static constexpr int64_t stride = left + k_tile + right;
    static constexpr int64_t count = (q_tile + int64_t{2} * block_rows) * stride;
    static constexpr int64_t first = block_rows * stride + left;  // element (0, 0)
    static constexpr int64_t transposed_stride = left + q_tile + right;
    static constexpr int64_t transposed_count = (k_tile + int64_t{2} * block_rows) * transposed_stride;
    static constexpr int64_t transposed_first = block_rows * transposed_stride + left;
};
static_assert(DistanceRange::margin >= most_block_rows + int64_t{2} * VectorOf<float>::width);

/// The rows of one sequence.
struct Sequence {
    int64_t q_begin, q_count, k_begin, k_count;
    bool banded;             // positions run on by one, so that terms by distance are bands
    int64_t first_distance;  // of the first query and the first key
    double scale;            // of the whole score
};

/// Rows of [heads, head_dim] with a free row stride.
template <class T>
struct HeadRows {
    T* data;
    int64_t stride, head_dim;

    explicit HeadRows(const Tensor& x)
        : data(x.as<std::remove_const_t<T>>()), stride(x.strides[0]), head_dim(x.shape[2]) {}
    Rows<T> of(int64_t row, int64_t head) const { return {data + row * stride + head * head_dim, stride}; }
};

/// What all tiles of a pass share.
template <class T>
struct Pass {
    int64_t heads;
    Terms<T> terms;
    SpreadTerms<T> bands;
    std::vector<Sequence> sequences;
    const std::int32_t *q_positions = nullptr, *k_positions = nullptr;
    bool on_tiles;  // products in bfloat16, on tile registers
    bool drops;
    DropoutRule dropout;
    const std::int32_t *dropout_sequence = nullptr, *dropout_row = nullptr;

    template <class Args>
    Pass(const char* op, const Args& args)
        : heads(args.q.shape[1]),
          terms(args.terms, args.q.shape[2]),
          on_tiles(args.bfloat16 && std::is_same_v<T, float> && isa() == Isa::amx),
          drops(static_cast<bool>(args.dropout)),
          dropout(dropout_rule(op, args.dropout)) {
        if (uses_positions(args.terms)) {
            q_positions = args.q_rows.positions.template as<std::int32_t>();
            k_positions = args.k_rows.positions.template as<std::int32_t>();
        }
        if (drops) {
            dropout_sequence = args.dropout_rows.sequence.template as<std::int32_t>();
            dropout_row = args.dropout_rows.position.template as<std::int32_t>();
        }
        find_sequences(args.q_rows.offsets, args.k_rows.offsets, args.terms.sequence_scale);
    }

    int64_t longest_q() const {
        int64_t longest = 0;
        for (const Sequence& s : sequences) longest = std::max(longest, s.q_count);
        return longest;
    }
    int64_t longest_k() const {
        int64_t longest = 0;
        for (const Sequence& s : sequences) longest = std::max(longest, s.k_count);
        return longest;
    }

private:
    static bool run_on(const std::int32_t* positions, int64_t begin, int64_t count) {
        for (int64_t i = begin + 1; i < begin + count; ++i)
            if (positions[i] != positions[i - 1] + 1) return false;
        return true;
    }

    // Bands must stay linear in the rows: a sequence whose queries stand far from its keys is handled pair by pair.
    void find_sequences(const Tensor& q_offsets, const Tensor& k_offsets, const Tensor& scale) {
        const std::int32_t* q = q_offsets.as<std::int32_t>();
        const std::int32_t* k = k_offsets.as<std::int32_t>();
        for (int64_t s = 0; s + 1 < q_offsets.count(); ++s)
            sequences.push_back({q[s], q[s + 1] - q[s], k[s], k[s + 1] - k[s], q_positions == nullptr, 0,
                                 scale ? scale.as<double>()[s] : 1.0});
        if (q_positions == nullptr) return;
        const int64_t farthest = 2 * std::max(longest_q(), longest_k());
        for (Sequence& s : sequences) {
            if (s.q_count == 0 || s.k_count == 0) continue;
            s.first_distance = int64_t{q_positions[s.q_begin]} - k_positions[s.k_begin];
            const int64_t reach =
                std::max(std::abs(s.first_distance - (s.k_count - 1)), std::abs(s.first_distance + s.q_count - 1));
            s.banded = reach < farthest && run_on(q_positions, s.q_begin, s.q_count) &&
                       run_on(k_positions, s.k_begin, s.k_count);
            if (s.banded && terms.by_distance()) bands.range.reach = std::max(bands.range.reach, reach);
        }
    }
};

/// One tile: queries i0 .. i0 + q_count - 1 and keys j0 .. j0 + k_count - 1 of a sequence.
struct Place {
    const Sequence* sequence;
    int64_t head, i0, j0, q_count, k_count;

    Place(const Sequence& sequence, int64_t head, int64_t i0, int64_t j0)
        : sequence(&sequence),
          head(head),
          i0(i0),
          j0(j0),
          q_count(std::min(q_tile, sequence.q_count - i0)),
          k_count(std::min(k_tile, sequence.k_count - j0)) {}

    /// Of the tile's element (0, 0), when the positions run on.
    int64_t distance() const { return sequence->first_distance + i0 - j0; }

    bool out_of_sight(int64_t window) const {
        return window > 0 && sequence->banded &&
               (distance() - (k_count - 1) > window || distance() + q_count - 1 < -window);
    }
};

template <class T>
Pairs pairs_of(const Pass<T>& pass, const Place& place) {
    return {pass.q_positions + place.sequence->q_begin + place.i0,
            pass.k_positions + place.sequence->k_begin + place.j0, place.q_count, place.k_count, place.head};
}

/// The keys of a tile that query i may see: begin .. end - 1.
struct Visible {
    int64_t begin, end;
};
inline Visible visible(const Place& place, int64_t window, int64_t i) {
    if (window == 0 || !place.sequence->banded) return {0, place.k_count};  // pairs carry minus infinity instead
    const int64_t r = place.distance() + i;
    const int64_t begin = std::clamp<int64_t>(r - window, 0, place.k_count);
    return {begin, std::clamp<int64_t>(r + window + 1, begin, place.k_count)};
}

/// Zeros around the visible part of a row, and in the spare rows below the tile.
template <class T>
void clear_outside(T* row, const Visible& seen) {
    std::fill(row - TileShape<T>::left, row + seen.begin, T{0});
    std::fill(row + seen.end, row + k_tile + TileShape<T>::right, T{0});
}
template <class T>
void clear_below(T* tile, int64_t q_count) {
    std::fill_n(tile + q_count * TileShape<T>::stride - TileShape<T>::left, block_rows * TileShape<T>::stride, T{0});
}

/// Asks for a row that will be read or written soon: the rows of a head lie far apart, and the processor does not guess the next one.
constexpr int64_t rows_ahead = 12;
template <bool write, class T>
void fetch_row(const T* row, int64_t head_dim) {
    for (int64_t c = 0; c < head_dim; c += 64 / static_cast<int64_t>(sizeof(T))) __builtin_prefetch(row + c, write);
}

/// to.data = scale * (x + addend), rounded up to whole vectors and block_rows with zeros. addend, [head_dim], may be null.
template <class T>
void pack_rows(Rows<T> to, Rows<const T> from, int64_t rows, int64_t head_dim, T scale = 1, const T* addend = nullptr) {
    for (int64_t r = 0; r < rows; ++r) {
        const T* const x = from.data + r * from.stride;
        T* const y = to.data + r * to.stride;
        if (r + rows_ahead < rows) fetch_row<false>(x + rows_ahead * from.stride, head_dim);
        if (addend == nullptr) {
            for (int64_t c = 0; c < head_dim; ++c) y[c] = scale * x[c];
        } else {
            for (int64_t c = 0; c < head_dim; ++c) y[c] = scale * (x[c] + addend[c]);
        }
        std::fill(y + head_dim, y + to.stride, T{0});
    }
    std::fill_n(to.data + rows * to.stride, (round_up(rows, block_rows) - rows) * to.stride, T{0});
}

/// One side of the further channels.
using ChannelSide = Tensor AttentionChannels::*;
using ChannelList = std::array<AttentionChannels, max_attention_channels>;

/// The rows from `begin` on of one head's further channels, times scale, behind the content of packed rows.
template <class T>
void pack_channels(Rows<T> to, const ChannelList& channels, ChannelSide side, int64_t begin, int64_t head, int64_t rows,
                   int64_t head_dim, T scale) {
    T* behind = to.data + head_dim;
    for (const AttentionChannels& part : channels) {
        if (!part) continue;
        const int64_t count = (part.*side).shape[2];
        const Rows<const T> from = HeadRows<const T>(part.*side).of(begin, head);
        for (int64_t r = 0; r < rows; ++r)
            for (int64_t c = 0; c < count; ++c) behind[r * to.stride + c] = scale * from.data[r * from.stride + c];
        behind += count;
    }
}

/// The way back, for gradients: those wanted are added to.
template <class T>
void add_channel_gradients(const ChannelList& gradients, const ChannelList& channels, ChannelSide side, int64_t begin,
                           int64_t head, int64_t rows, Rows<const T> from, int64_t head_dim, T scale) {
    const T* behind = from.data + head_dim;
    for (std::size_t n = 0; n < channels.size(); ++n) {
        if (!channels[n]) continue;
        const int64_t count = (channels[n].*side).shape[2];
        if (const Tensor& gradient = gradients[n].*side) {
            const Rows<T> to = HeadRows<T>(gradient).of(begin, head);
            for (int64_t r = 0; r < rows; ++r)
                for (int64_t c = 0; c < count; ++c) to.data[r * to.stride + c] += scale * behind[r * from.stride + c];
        }
        behind += count;
    }
}

/// [head_dim, k_tile] for each tile of keys, zeros after the last key.
template <class T>
void pack_transposed(T* to, Rows<const T> from, int64_t rows, int64_t head_dim) {
    for (int64_t j0 = 0; j0 < rows; j0 += k_tile, to += head_dim * k_tile) {
        const int64_t count = std::min(k_tile, rows - j0);
        transpose<false>(count, head_dim, Rows<const T>{from.data + j0 * from.stride, from.stride},
                         Rows<T>{to, k_tile});
        if (count < k_tile)
            for (int64_t c = 0; c < head_dim; ++c) std::fill(to + c * k_tile + count, to + (c + 1) * k_tile, T{0});
    }
}

/// What the scores of a tile are made of.
template <class T>
struct ScoreOperands {
    Rows<const T> q_content, q_position;  // scale * (q + u), scale * (q + v)
    Rows<const T> k;
    Rows<const T> k_transposed;  // [content_dim, k_tile]
};

/// All terms of the score. The tile's spare columns hold anything afterwards. `other`: a tile of keys x queries.
template <class T>
void score_tile(T* s, T* other, const Pass<T>& pass, const Place& place, const ScoreOperands<T>& from) {
    using Shape = TileShape<T>;
    const int64_t head_dim = pass.terms.head_dim, head = place.head;
    const Tile<T> tile{s, Shape::stride, 1};
    product<false>(pass.on_tiles, place.q_count, place.k_count, pass.terms.content_dim,
                   Elements<T>{from.q_content.data, from.q_content.stride, 1}, from.k_transposed,
                   Rows<T>{s, Shape::stride});
    if (!place.sequence->banded)
        return add_pair_scores(tile, pairs_of(pass, place), pass.terms, from.q_position, from.k);
    const int64_t r = place.distance();
    if (pass.bands.bias != nullptr)
        for (int64_t i = 0; i < place.q_count; ++i)
            add_scaled(s + i * Shape::stride, T{1}, pass.bands.bias_of(head, r + i), place.k_count);
    if (const Band<T> key = pass.bands.key.of(head))
        band_scores<true>(pass.on_tiles, tile, place.q_count, place.k_count, head_dim, from.q_position, key,
                          key.first(r));
    if (const Band<T> query = pass.bands.query.of(head)) {
        const Tile<T> keys_first{other, Shape::transposed_stride, 1};
        band_scores<false>(pass.on_tiles, keys_first, place.k_count, place.q_count, head_dim, from.k, query,
                           query.first(r));
        transpose<true>(place.k_count, place.q_count, Rows<const T>{other, Shape::transposed_stride},
                        Rows<T>{s, Shape::stride});
    }
}

}  // namespace locus::LOCUS_TARGET
