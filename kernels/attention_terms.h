#pragma once
// The terms of the score as the kernel reads them: looked up by distance, or spread out by distance (bands, attention_band.h).
//
// memory   a band holds 2 L - 1 distances per head, L the longest sequence whose positions run on by one: linear in the rows

#include <algorithm>
#include <array>
#include <cstddef>

#include "kernels/attention.h"
#include "kernels/attention_band.h"

namespace locus::LOCUS_TARGET {

/// A block of the arena, given back at the end of the scope.
class Scratch {
public:
    Scratch(Arena& arena, int64_t bytes)
        : arena_(arena), block_(arena.take(static_cast<std::size_t>(std::max<int64_t>(bytes, 64)))) {}
    ~Scratch() { arena_.give_back(block_); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    char* data() const { return static_cast<char*>(block_); }

private:
    Arena& arena_;
    void* block_;
};

/// Cuts a block into arrays that start on cache lines. Without a block it only measures.
class Cutter {
public:
    explicit Cutter(char* block) : block_(block) {}

    template <class T>
    T* cut(int64_t count) {
        char* const at = block_ == nullptr ? nullptr : block_ + bytes_;
        bytes_ += round_up(count * static_cast<int64_t>(sizeof(T)), 64);
        return reinterpret_cast<T*>(at);
    }
    int64_t bytes() const { return bytes_; }

private:
    char* block_;
    int64_t bytes_ = 0;
};

/// A RelativeTable with its types.
template <class T>
struct Lookup {
    const T* rows = nullptr;
    int64_t head_stride = 0, row_stride = 0;
    const std::int32_t* row_of_distance = nullptr;
    int64_t reach = 0;

    Lookup() = default;
    explicit Lookup(const RelativeTable& table) {
        if (!table) return;
        rows = table.rows.template as<T>();
        head_stride = table.rows.shape[0] == 1 ? 0 : table.rows.strides[0];
        row_stride = table.rows.strides[1];
        row_of_distance = table.row_of_distance.as<std::int32_t>();
        reach = table.row_of_distance.count() / 2;
    }
    explicit operator bool() const { return rows != nullptr; }
    int64_t row(int64_t distance) const { return row_of_distance[std::clamp(distance, -reach, reach) + reach]; }
    const T* vector(int64_t head, int64_t distance) const {
        return rows + head * head_stride + row(distance) * row_stride;
    }
};

/// A bias by distance, or its gradient.
template <class T>
struct BiasLookup {
    T* data = nullptr;
    int64_t extent = 0;

    explicit operator bool() const { return data != nullptr; }
    T& at(int64_t head, int64_t distance) const {
        const int64_t reach = extent / 2;
        return data[head * extent + std::clamp(distance, -reach, reach) + reach];
    }
};

template <class T>
struct Terms {
    T scale;
    int64_t head_dim, width;             // width: head_dim rounded up to whole vectors
    int64_t content_dim, content_width;  // of q and k with their further channels
    int64_t window;
    Lookup<T> key, query, value;
    std::array<BiasLookup<const T>, max_attention_biases> biases;
    const T *content = nullptr, *position = nullptr;  // u, v

    Terms(const AttentionTerms& terms, int64_t head_dim)
        : scale(static_cast<T>(terms.scale)),
          head_dim(head_dim),
          width(round_up(head_dim, VectorOf<T>::width)),
          content_dim(head_dim),
          window(terms.window),
          key(terms.key_table),
          query(terms.query_table),
          value(terms.value_table) {
        for (std::size_t n = 0; n < biases.size(); ++n)
            if (terms.biases[n]) biases[n] = {terms.biases[n].as<T>(), terms.biases[n].shape[1]};
        for (const AttentionChannels& part : terms.channels)
            if (part) content_dim += part.query.shape[2];
        content_width = round_up(content_dim, VectorOf<T>::width);
        if (terms.content_bias) content = terms.content_bias.as<T>();
        if (terms.position_bias) position = terms.position_bias.as<T>();
    }

    bool by_distance() const { return key || query || value || biases[0]; }
    T bias(int64_t head, int64_t distance) const {
        T sum = 0;
        for (const auto& one : biases)
            if (one) sum += one.at(head, distance);
        return sum;
    }
};

/// Distances from -reach to reach, and how a band numbers them.
struct DistanceRange {
    int64_t reach = -1;  // -1: no sequence needs bands

    static constexpr int64_t margin = 64;  // rows that blocks and vectors may look past either end; zero
    int64_t count() const { return reach < 0 ? 0 : 2 * reach + 1 + 2 * margin; }
    int64_t origin() const { return reach + margin; }
    int64_t distance(int64_t index, int sign) const { return (index - origin()) * sign; }
    bool contains(int64_t distance) const { return -reach <= distance && distance <= reach; }
};

/// The bands of a table for all heads.
template <class T>
struct Bands {
    Band<T> first;
    int64_t transposed_step = 0, rows_step = 0;  // from head to head

    Band<T> of(int64_t head) const {
        Band<T> band = first;
        if (band.transposed != nullptr) band.transposed += head * transposed_step;
        if (band.rows != nullptr) band.rows += head * rows_step;
        return band;
    }
};

/// Memory for the bands of a table: head_dim x distances, distances x width, or both.
template <class T>
struct BandMemory {
    T *transposed = nullptr, *rows = nullptr;
    int64_t stride = 0;
};

/// An odd number of cache lines, so that the rows of a band do not share one set of the cache.
template <class T>
int64_t band_stride(const DistanceRange& range) {
    const int64_t line = 64 / static_cast<int64_t>(sizeof(T));
    return round_up(range.count(), line) + (round_up(range.count(), line) / line % 2 == 0 ? line : 0);
}

/// Spreads scale * table out by distance.
template <class T>
Bands<T> spread(const Lookup<T>& table, int64_t heads, int64_t head_dim, int64_t width, const DistanceRange& range,
                int sign, T scale, const BandMemory<T>& memory) {
    const int64_t copies = table.head_stride == 0 ? 1 : heads, count = range.count();
    Bands<T> bands;
    bands.first = {memory.transposed, memory.stride, memory.rows, width, range.origin(), sign};
    if (copies > 1) bands.transposed_step = head_dim * memory.stride, bands.rows_step = count * width;
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t head = 0; head < copies; ++head) {
        for (int64_t index = 0; index < count; ++index) {
            const int64_t r = range.distance(index, sign);
            const T* const from = range.contains(r) ? table.vector(head, r) : nullptr;
            if (memory.rows != nullptr) {
                T* const to = memory.rows + (head * count + index) * width;
                for (int64_t c = 0; c < width; ++c) to[c] = from != nullptr && c < head_dim ? scale * from[c] : T{0};
            }
            if (memory.transposed != nullptr) {
                T* const to = memory.transposed + head * head_dim * memory.stride + index;
                for (int64_t c = 0; c < head_dim; ++c) to[c * memory.stride] = from != nullptr ? scale * from[c] : T{0};
            }
        }
    }
    return bands;
}

/// All terms spread out by distance.
template <class T>
struct SpreadTerms {
    DistanceRange range;
    Bands<T> key, query, value;
    const T* bias = nullptr;  // [heads, range.count()] by falling distance
    int64_t bias_origin = 0;

    const T* bias_of(int64_t head, int64_t distance) const {
        return bias + head * range.count() + bias_origin - distance;
    }
};

/// Which forms a pass needs.
struct BandForms {
    bool transposed, rows;
};

template <class T>
BandMemory<T> cut_band(Cutter& cutter, const Lookup<T>& table, int64_t heads, const Terms<T>& terms,
                       const DistanceRange& range, BandForms forms) {
    if (!table) return {};
    const int64_t copies = table.head_stride == 0 ? 1 : heads;
    BandMemory<T> memory;
    memory.stride = band_stride<T>(range);
    if (forms.transposed) memory.transposed = cutter.template cut<T>(copies * terms.head_dim * memory.stride);
    if (forms.rows) memory.rows = cutter.template cut<T>(copies * range.count() * terms.width);
    return memory;
}

/// Measures (cutter without a block) or fills the bands of a pass.
template <class T>
SpreadTerms<T> spread_terms(Cutter& cutter, const Terms<T>& terms, int64_t heads, const DistanceRange& range,
                            bool backward, bool fill) {
    SpreadTerms<T> spread_out;
    if (range.reach < 0) return spread_out;
    spread_out.range = range;
    const auto table = [&](const Lookup<T>& lookup, int sign, T scale, BandForms forms) {
        const BandMemory<T> memory = cut_band(cutter, lookup, heads, terms, range, forms);
        if (!lookup || !fill) return Bands<T>{};
        return spread(lookup, heads, terms.head_dim, terms.width, range, sign, scale, memory);
    };
    spread_out.key = table(terms.key, -1, T{1}, {true, backward});
    spread_out.query = table(terms.query, 1, terms.scale, {true, backward});
    spread_out.value = table(terms.value, -1, T{1}, {backward, !backward});
    if (!terms.biases[0]) return spread_out;
    const int64_t count = range.count();
    T* const bias = cutter.cut<T>(heads * count);
    spread_out.bias = bias;
    spread_out.bias_origin = range.origin();
    if (!fill) return spread_out;
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t head = 0; head < heads; ++head)
        for (int64_t index = 0; index < count; ++index)
            bias[head * count + index] = terms.bias(head, range.distance(index, -1));
    return spread_out;
}

}  // namespace locus::LOCUS_TARGET
