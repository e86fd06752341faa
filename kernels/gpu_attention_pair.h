#pragma once
// One query and one key of attention on a GPU: their score, its probability, its gradient, as attention.h writes them. What the plain kernels
// (attention.cu, attention_backward.cu) are made of.
//
//   memory   nothing is kept: a score is computed wherever it is needed, once forward and twice backward

#include <type_traits>

#include "kernels/attention_check.h"
#include "kernels/dropout_rule.h"
#include "kernels/gpu.h"

namespace locus::LOCUS_TARGET {

constexpr int tile_pairs = 128;  // that a block of as many threads looks at together

/// Rows of [heads, channels].
template <class T>
struct HeadRows {
    T* data = nullptr;
    std::int64_t row_stride = 0, head_stride = 0, channels = 0;

    HeadRows() = default;
    explicit HeadRows(const Tensor& x) {
        if (x) *this = {x.as<std::remove_const_t<T>>(), x.strides[0], x.strides[1], x.shape[2]};
    }
    HeadRows(T* data, std::int64_t row_stride, std::int64_t head_stride, std::int64_t channels)
        : data(data), row_stride(row_stride), head_stride(head_stride), channels(channels) {}
    __device__ bool present() const { return data != nullptr; }
    __device__ T* of(std::int64_t row, std::int64_t head) const { return data + row * row_stride + head * head_stride; }
};

/// Index of a distance in what reaches from -reach to reach.
__device__ inline std::int64_t index_of_distance(std::int64_t distance, std::int64_t reach) {
    return (distance < -reach ? -reach : distance > reach ? reach : distance) + reach;
}

/// A table of vectors by distance.
struct VectorTable {
    const float* rows = nullptr;
    const std::int32_t* row_of_distance = nullptr;
    std::int64_t head_stride = 0, row_stride = 0, reach = 0;

    VectorTable() = default;
    explicit VectorTable(const RelativeTable& table) {
        if (!table) return;
        rows = table.rows.as<float>();
        row_of_distance = table.row_of_distance.as<std::int32_t>();
        head_stride = table.rows.shape[0] == 1 ? 0 : table.rows.strides[0];
        row_stride = table.rows.strides[1];
        reach = table.row_of_distance.count() / 2;
    }
    __device__ bool present() const { return rows != nullptr; }
    __device__ std::int64_t row(std::int64_t distance) const {
        return row_of_distance[index_of_distance(distance, reach)];
    }
    __device__ const float* vector(std::int64_t head, std::int64_t distance) const {
        return rows + head * head_stride + row(distance) * row_stride;
    }
};

/// A bias by distance, [heads, extent].
struct BiasTable {
    const float* values = nullptr;
    std::int64_t extent = 0;

    __device__ bool present() const { return values != nullptr; }
    __device__ std::int64_t index(std::int64_t distance) const { return index_of_distance(distance, extent / 2); }
    __device__ float at(std::int64_t head, std::int64_t distance) const {
        return values[head * extent + index(distance)];
    }
};

struct ChannelRows {
    HeadRows<const float> query, key;
};
/// Where the gradients of one list of channels go; absent where nobody asks.
struct ChannelGradients {
    HeadRows<float> query, key;

    ChannelGradients() = default;
    explicit ChannelGradients(const AttentionChannels& gradients) : query(gradients.query), key(gradients.key) {}
};

/// Rows begin .. end - 1.
struct Span {
    std::int64_t begin, end;
};

struct Pair {
    std::int64_t query, key, head;
};

/// (x + shift) . y; without a shift x . y
template <class X, class Y>
__device__ float dot(const X* x, const float* shift, const Y* y, std::int64_t n) {
    float sum = 0;
    for (std::int64_t c = 0; c < n; ++c) sum += (load(x + c) + (shift == nullptr ? 0.0F : shift[c])) * load(y + c);
    return sum;
}

inline const float* floats_or_null(const Tensor& x) { return x ? x.as<float>() : nullptr; }

/// One tile's place in the softmax of its query: score - shift becomes the exponent, earlier sums are multiplied with the correction.
struct Softmax {
    float maximum = -INFINITY, sum = 0, shift = 0, correction = 1;

    __device__ void see(float largest) {
        const float before = maximum;
        maximum = largest > maximum ? largest : maximum;
        shift = maximum == -INFINITY ? 0.0F : maximum;  // nothing is visible yet
        correction = expf(before - shift);
    }
    __device__ void add(float exponentials) { sum = sum * correction + exponentials; }
    __device__ float log_sum_exp() const { return sum == 0 ? -INFINITY : maximum + logf(sum); }
};

/// All pairs of a pass.
template <class T>
struct AttentionPairs {
    std::int64_t heads, head_dim, sequences;
    const std::int32_t *q_offsets, *k_offsets;
    const std::int32_t *q_positions = nullptr, *k_positions = nullptr;  // null when nothing depends on the distance
    HeadRows<const T> q, k, value;

    float scale;
    std::int64_t window;
    VectorTable key_table, query_table, value_table;
    const float *content_bias, *position_bias;  // [heads, head_dim] or null
    BiasTable biases[max_attention_biases];
    ChannelRows channels[max_attention_channels];
    const double* sequence_scale;  // or null

    bool drops;
    DropoutRule dropout;
    const std::int32_t *dropout_sequence = nullptr, *dropout_position = nullptr;

    template <class Args>
    AttentionPairs(const char* op, const Args& args)
        : heads(args.q.shape[1]),
          head_dim(args.q.shape[2]),
          sequences(args.q_rows.offsets.count() - 1),
          q_offsets(args.q_rows.offsets.template as<std::int32_t>()),
          k_offsets(args.k_rows.offsets.template as<std::int32_t>()),
          q(args.q),
          k(args.k),
          value(args.value),
          scale(static_cast<float>(args.terms.scale)),
          window(args.terms.window),
          key_table(args.terms.key_table),
          query_table(args.terms.query_table),
          value_table(args.terms.value_table),
          content_bias(floats_or_null(args.terms.content_bias)),
          position_bias(floats_or_null(args.terms.position_bias)),
          sequence_scale(args.terms.sequence_scale ? args.terms.sequence_scale.template as<double>() : nullptr),
          drops(static_cast<bool>(args.dropout)),
          dropout(dropout_rule(op, args.dropout)) {
        for (int n = 0; n < max_attention_biases; ++n)
            if (const Tensor& bias = args.terms.biases[n]) biases[n] = {bias.template as<float>(), bias.shape[1]};
        for (int n = 0; n < max_attention_channels; ++n)
            channels[n] = {HeadRows<const float>(args.terms.channels[n].query),
                           HeadRows<const float>(args.terms.channels[n].key)};
        if (uses_positions(args.terms)) {
            q_positions = args.q_rows.positions.template as<std::int32_t>();
            k_positions = args.k_rows.positions.template as<std::int32_t>();
        }
        if (drops) {
            dropout_sequence = args.dropout_rows.sequence.template as<std::int32_t>();
            dropout_position = args.dropout_rows.position.template as<std::int32_t>();
        }
    }

    /// The last sequence that begins at or before the row: the one it is in, for those before may be empty.
    __device__ std::int64_t sequence_of(const std::int32_t* offsets, std::int64_t row) const {
        std::int64_t low = 0, high = sequences;  // offsets[low] <= row < offsets[high]
        while (high - low > 1) {
            const std::int64_t middle = (low + high) / 2;
            (offsets[middle] <= row ? low : high) = middle;
        }
        return low;
    }
    __device__ Span keys_of_query(std::int64_t query) const {
        const std::int64_t sequence = sequence_of(q_offsets, query);
        return {k_offsets[sequence], k_offsets[sequence + 1]};
    }
    __device__ Span queries_of_key(std::int64_t key) const {
        const std::int64_t sequence = sequence_of(k_offsets, key);
        return {q_offsets[sequence], q_offsets[sequence + 1]};
    }

    __device__ std::int64_t distance(std::int64_t query, std::int64_t key) const {
        return q_positions == nullptr ? 0 : static_cast<std::int64_t>(q_positions[query]) - k_positions[key];
    }
    __device__ bool visible(std::int64_t r) const { return window == 0 || (-window <= r && r <= window); }

    /// (q_i + v) . K[row_K(r)] + k_j . Q[row_Q(r)]
    __device__ float position_products(const Pair& at, std::int64_t r) const {
        const T *const q_i = q.of(at.query, at.head), *const k_j = k.of(at.key, at.head);
        float sum = 0;
        if (key_table.present())
            sum += dot(q_i, of_head(position_bias, at.head), key_table.vector(at.head, r), head_dim);
        if (query_table.present()) sum += dot(k_j, nullptr, query_table.vector(at.head, r), head_dim);
        return sum;
    }
    /// sum_n bias_n[h, r]
    __device__ float bias(std::int64_t head, std::int64_t r) const {
        float sum = 0;
        for (const BiasTable& table : biases)
            if (table.present()) sum += table.at(head, r);
        return sum;
    }

    /// f_s
    __device__ float factor_of_sequence(std::int64_t sequence) const {
        return sequence_scale == nullptr ? 1.0F : static_cast<float>(sequence_scale[sequence]);
    }
    __device__ float factor(const Pair& at) const {
        return sequence_scale == nullptr ? 1.0F : factor_of_sequence(sequence_of(q_offsets, at.query));
    }

    /// score(i, j); minus infinity outside the window.
    __device__ float score(const Pair& at) const {
        const std::int64_t r = distance(at.query, at.key), head = at.head;
        if (!visible(r)) return -INFINITY;
        float sum = dot(q.of(at.query, head), of_head(content_bias, head), k.of(at.key, head), head_dim);
        for (const ChannelRows& part : channels)
            if (part.query.present())
                sum += dot(part.query.of(at.query, head), nullptr, part.key.of(at.key, head), part.query.channels);
        sum = scale * (sum + position_products(at, r)) + bias(head, r);
        return factor(at) * sum;
    }

    /// What dropout multiplies P(i, j) with: 0 or 1 / (1 - p).
    __device__ float kept(const Pair& at) const {
        if (!drops) return 1.0F;
        const std::int64_t column = at.key - keys_of_query(at.query).begin;
        const bool keeps =
            is_kept(dropout, static_cast<std::uint32_t>(column), static_cast<std::uint32_t>(dropout_position[at.query]),
                    static_cast<std::uint32_t>(dropout_sequence[at.query] * heads + at.head));
        return keeps ? static_cast<float>(dropout.scale) : 0.0F;
    }

    /// x[head] of [heads, head_dim], if it is there.
    __device__ const float* of_head(const float* x, std::int64_t head) const {
        return x == nullptr ? nullptr : x + head * head_dim;
    }
};

/// drop(P(i, j)) and dS(i, j).
struct PairGradient {
    float dropped, ds;
};

template <class T>
struct BackwardPairs {
    AttentionPairs<T> pairs;
    HeadRows<const T> dout, out;
    const float* log_sum_exp;  // [q_rows, heads]
    float* weighted_sum;       // D, [q_rows, heads]

    __device__ PairGradient gradient(const Pair& at) const {
        const float score = pairs.score(at);
        if (score == -INFINITY) return {0, 0};
        const std::int64_t row = at.query * pairs.heads + at.head, n = pairs.head_dim;
        const float p = expf(score - log_sum_exp[row]), kept = pairs.kept(at);
        const T* const dout_i = dout.of(at.query, at.head);
        float dp = dot(dout_i, nullptr, pairs.value.of(at.key, at.head), n);
        if (pairs.value_table.present())
            dp += dot(dout_i, nullptr, pairs.value_table.vector(at.head, pairs.distance(at.query, at.key)), n);
        return {p * kept, pairs.factor(at) * p * (dp * kept - weighted_sum[row])};
    }
};

/// The gradients of tile_pairs pairs, which share their query or their key.
struct GradientTile {
    float dropped[tile_pairs], ds[tile_pairs];
    std::int64_t distance[tile_pairs];
};

/// Thread n fills in place n of the block's tile.
template <class T>
__device__ void fill_place(GradientTile& tile, const BackwardPairs<T>& b, const Pair& at) {
    const PairGradient gradient = b.gradient(at);
    tile.dropped[threadIdx.x] = gradient.dropped;
    tile.ds[threadIdx.x] = gradient.ds;
    tile.distance[threadIdx.x] = b.pairs.distance(at.query, at.key);
}

}  // namespace locus::LOCUS_TARGET
