// The backward pass of attention on a GPU, plainly: attention.h's sums, each with one owner that adds in a fixed order.
//
//   1. by query    a block for some query rows and a head: D, dq, da, and its share of the gradients of tables, biases, u and v
//   2. by key      a block for each key row and head: dk, dvalue, db
//   3. the shares added to the gradients of the terms, in the order of the rows
//
// Where attention_fused.h can do all that, what remains is 1 without dq and da, and 3, for the terms of sequences that are not regular. Mostly there are
// none.
//
//   owner    within a block, thread c owns column c of everything: it runs over a tile of pairs that all threads have prepared
//   memory   scratch: D, and for each head at most 32 shares of the gradients of the terms
//   flop     scores and dP twice, in 1 and in 2; the rest as attention.h counts it
//   bytes    1 reads k and value, 2 reads q and dout, for each row of the other side, from the caches
//   bound    their rate: half a flop for each byte read

#include "kernels/attention.h"
#include "kernels/attention_fused.h"
#include "kernels/attention_some_rows.h"
#include "kernels/gpu_attention_pair.h"

namespace locus::LOCUS_TARGET {
namespace {

constexpr std::int64_t most_shares = 32;  // fixed, so that the order of addition is

/// Shares of a gradient with `count` numbers per head: [blocks of the first kernel, count].
struct Shares {
    float* data = nullptr;
    std::int64_t count = 0;

    __device__ float* of_block() const { return data == nullptr ? nullptr : data + blockIdx.x * count; }
};

/// Null where nobody asks for the gradient.
struct TermShares {
    Shares key_table, query_table, value_table, content_bias, position_bias;
    Shares biases[max_attention_biases];
};

template <class T>
struct Backward : BackwardPairs<T> {
    HeadRows<T> dq, dk, dvalue;
    bool accumulate;
    ChannelGradients dchannels[max_attention_channels];
    TermShares shares = {};
    std::int64_t groups = 0;          // of query rows
    std::int32_t* regular = nullptr;  // [sequences]: those done already; null: none is

    Backward(const char* op, const AttentionBackward& args)
        : BackwardPairs<T>{.pairs = AttentionPairs<T>(op, args),
                           .dout = HeadRows<const T>(args.dout),
                           .out = HeadRows<const T>(args.out),
                           .log_sum_exp = args.log_sum_exp.as<float>(),
                           .weighted_sum = nullptr},
          dq(args.dq),
          dk(args.dk),
          dvalue(args.dvalue),
          accumulate(args.accumulate) {
        for (int n = 0; n < max_attention_channels; ++n) dchannels[n] = ChannelGradients(args.dterms.channels[n]);
    }
};

/// One query or key of a head, and a tile of what it meets.
struct TileOf {
    std::int64_t row, head;
    Span others;
};

template <class T>
__device__ void write_row(T* to, const float* sums, std::int64_t count, bool accumulate) {
    for (std::int64_t c = threadIdx.x; c < count; c += blockDim.x)
        store(to + c, (accumulate ? load(to + c) : 0.0F) + sums[c]);
}

/// gradient += scale sum dS x over the tile: further channels, x being those of the other side.
template <class T>
__device__ void add_channels(const Backward<T>& b, const TileOf& at, const GradientTile& tile,
                             const HeadRows<float>& gradient, const HeadRows<const float>& x) {
    if (!gradient.present()) return;
    for (std::int64_t c = threadIdx.x; c < gradient.channels; c += blockDim.x) {
        float sum = 0;
        for (std::int64_t n = at.others.begin; n < at.others.end; ++n)
            sum += tile.ds[n - at.others.begin] * x.of(n, at.head)[c];
        gradient.of(at.row, at.head)[c] += b.pairs.scale * sum;
    }
}

// ---- which sequences ----

/// Whether all sequences have been done already. All threads of the block have to come.
__device__ bool all_done(const std::int32_t* regular, std::int64_t sequences) {
    if (regular == nullptr) return false;
    int left = 0;
    for (std::int64_t s = threadIdx.x; s < sequences; s += blockDim.x)
        if (regular[s] == 0) left = 1;
    return block_max(left) == 0;
}

// ---- 1. by query ----

/// D_i = dout_i . out_i
template <class T>
__device__ void find_weighted_sum(const Backward<T>& b, std::int64_t query, std::int64_t head) {
    float part = 0;
    for (std::int64_t c = threadIdx.x; c < b.pairs.head_dim; c += blockDim.x)
        part += load(b.dout.of(query, head) + c) * load(b.out.of(query, head) + c);
    const float sum = block_sum(part);
    if (threadIdx.x == 0) b.weighted_sum[query * b.pairs.heads + head] = sum;
    __syncthreads();
}

/// What the keys of a tile contribute to everything with head_dim columns.
template <class T>
__device__ void add_columns_of_query(const Backward<T>& b, const TileOf& at, const GradientTile& tile, float* dq) {
    const AttentionPairs<T>& pairs = b.pairs;
    const std::int64_t head = at.head, n = pairs.head_dim;
    float *const dkey_table = b.shares.key_table.of_block(), *const dquery_table = b.shares.query_table.of_block(),
                 *const dvalue_table = b.shares.value_table.of_block(), *const du = b.shares.content_bias.of_block(),
                 *const dv = b.shares.position_bias.of_block();
    const float* const v = pairs.of_head(pairs.position_bias, head);
    for (std::int64_t c = threadIdx.x; c < n; c += blockDim.x) {
        const float q_plus_v = load(pairs.q.of(at.row, head) + c) + (v == nullptr ? 0.0F : v[c]);
        const float dout = load(b.dout.of(at.row, head) + c);
        float by_content = 0, by_position = 0;  // scale sum dS k_j, scale sum dS K[row_K]
        for (std::int64_t key = at.others.begin; key < at.others.end; ++key) {
            const std::int64_t j = key - at.others.begin, r = tile.distance[j];
            const float ds = pairs.scale * tile.ds[j], k = load(pairs.k.of(key, head) + c);
            by_content += ds * k;
            if (pairs.key_table.present()) by_position += ds * pairs.key_table.vector(head, r)[c];
            if (dkey_table != nullptr) dkey_table[pairs.key_table.row(r) * n + c] += ds * q_plus_v;
            if (dquery_table != nullptr) dquery_table[pairs.query_table.row(r) * n + c] += ds * k;
            if (dvalue_table != nullptr) dvalue_table[pairs.value_table.row(r) * n + c] += tile.dropped[j] * dout;
        }
        dq[c] += by_content + by_position;
        if (du != nullptr) du[c] += by_content;
        if (dv != nullptr) dv[c] += by_position;
    }
}

/// dbias_n[r] += dS: thread n owns bias n.
template <class T>
__device__ void add_biases(const Backward<T>& b, const TileOf& at, const GradientTile& tile) {
    const unsigned n = threadIdx.x;
    if (n >= max_attention_biases || b.shares.biases[n].data == nullptr) return;
    float* const gradient = b.shares.biases[n].of_block();
    for (std::int64_t j = 0; j < at.others.end - at.others.begin; ++j)
        gradient[b.pairs.biases[n].index(tile.distance[j])] += tile.ds[j];
}

template <class T>
__device__ void query_gradients(const Backward<T>& b, std::int64_t query, std::int64_t head, GradientTile& tile) {
    float* const dq = shared_memory<float>();  // [head_dim]
    for (std::int64_t c = threadIdx.x; c < b.pairs.head_dim; c += blockDim.x) dq[c] = 0;
    find_weighted_sum(b, query, head);
    const Span keys = b.pairs.keys_of_query(query);
    for (std::int64_t first = keys.begin; first < keys.end; first += tile_pairs) {
        const std::int64_t end = first + tile_pairs < keys.end ? first + tile_pairs : keys.end;
        const TileOf at = {query, head, {first, end}};
        if (first + threadIdx.x < end) fill_place(tile, b, {query, first + threadIdx.x, head});
        __syncthreads();  // the tile is complete
        add_columns_of_query(b, at, tile, dq);
        add_biases(b, at, tile);
        for (int n = 0; n < max_attention_channels; ++n)
            add_channels(b, at, tile, b.dchannels[n].query, b.pairs.channels[n].key);
        __syncthreads();  // and has been read
    }
    if (b.dq.present()) write_row(b.dq.of(query, head), dq, b.pairs.head_dim, b.accumulate);
}

__device__ void clear(const Shares& shares) {
    if (shares.data == nullptr) return;
    for (std::int64_t n = threadIdx.x; n < shares.count; n += blockDim.x) shares.of_block()[n] = 0;
}

template <class T>
__global__ void attention_query_gradients_kernel(Backward<T> b) {
    __shared__ GradientTile tile;
    if (all_done(b.regular, b.pairs.sequences)) return;
    const TermShares& s = b.shares;
    for (const Shares& one : {s.key_table, s.query_table, s.value_table, s.content_bias, s.position_bias}) clear(one);
    for (const Shares& one : s.biases) clear(one);
    __syncthreads();
    const std::int64_t group = blockIdx.x / b.pairs.heads, head = blockIdx.x % b.pairs.heads,
                       q_rows = b.pairs.q_offsets[b.pairs.sequences];  // slots may be more (attention_some_rows.h)
    for (std::int64_t query = q_rows * group / b.groups; query < q_rows * (group + 1) / b.groups; ++query)
        if (b.regular == nullptr || b.regular[b.pairs.sequence_of(b.pairs.q_offsets, query)] == 0)
            query_gradients(b, query, head, tile);
}

// ---- 2. by key ----

/// What the queries of a tile contribute to dk and dvalue.
template <class T>
__device__ void add_columns_of_key(const Backward<T>& b, const TileOf& at, const GradientTile& tile, float* dk,
                                   float* dvalue) {
    const AttentionPairs<T>& pairs = b.pairs;
    const std::int64_t head = at.head;
    const float* const u = pairs.of_head(pairs.content_bias, head);
    for (std::int64_t c = threadIdx.x; c < pairs.head_dim; c += blockDim.x) {
        float dk_sum = 0, dvalue_sum = 0;
        for (std::int64_t query = at.others.begin; query < at.others.end; ++query) {
            const std::int64_t i = query - at.others.begin;
            float q = load(pairs.q.of(query, head) + c) + (u == nullptr ? 0.0F : u[c]);
            if (pairs.query_table.present()) q += pairs.query_table.vector(head, tile.distance[i])[c];
            dk_sum += pairs.scale * tile.ds[i] * q;
            dvalue_sum += tile.dropped[i] * load(b.dout.of(query, head) + c);
        }
        dk[c] += dk_sum;
        dvalue[c] += dvalue_sum;
    }
}

template <class T>
__global__ void attention_key_gradients_kernel(Backward<T> b) {
    __shared__ GradientTile tile;
    const std::int64_t key = blockIdx.x / b.pairs.heads, head = blockIdx.x % b.pairs.heads, n = b.pairs.head_dim;
    float *const dk = shared_memory<float>(), *const dvalue = dk + n;  // [head_dim] each
    for (std::int64_t c = threadIdx.x; c < n; c += blockDim.x) dk[c] = dvalue[c] = 0;
    const Span queries = b.pairs.queries_of_key(key);
    for (std::int64_t first = queries.begin; first < queries.end; first += tile_pairs) {
        const std::int64_t end = first + tile_pairs < queries.end ? first + tile_pairs : queries.end;
        const TileOf at = {key, head, {first, end}};
        if (first + threadIdx.x < end) fill_place(tile, b, {first + threadIdx.x, key, head});
        __syncthreads();  // the tile is complete
        add_columns_of_key(b, at, tile, dk, dvalue);
        for (int part = 0; part < max_attention_channels; ++part)
            add_channels(b, at, tile, b.dchannels[part].key, b.pairs.channels[part].query);
        __syncthreads();  // and has been read
    }
    write_row(b.dk.of(key, head), dk, n, b.accumulate);
    write_row(b.dvalue.of(key, head), dvalue, n, b.accumulate);
}

// ---- 3. the gradients of the terms ----

/// Of one term, [heads or 1, rows, columns].
struct TermGradient {
    float* data;
    std::int64_t heads, columns, head_stride, row_stride;

    explicit TermGradient(const Tensor& x)
        : data(x.as<float>()),
          heads(x.shape[0]),
          columns(x.shape[-1]),
          head_stride(x.strides[0]),
          row_stride(x.shape.rank() == 3 ? x.strides[1] : 0) {}
};

/// Adds all shares of a number, and all heads' when they have the term in common.
__global__ void add_shares_kernel(Shares shares, std::int64_t groups, std::int64_t heads, TermGradient to,
                                  const std::int32_t* regular, std::int64_t sequences) {
    if (all_done(regular, sequences)) return;
    const std::int64_t i = index_in_grid();
    if (i >= to.heads * shares.count) return;
    const std::int64_t owner = i / shares.count, place = i % shares.count;
    const Span of_owner = to.heads == heads ? Span{owner, owner + 1} : Span{0, heads};
    float sum = 0;
    for (std::int64_t group = 0; group < groups; ++group)
        for (std::int64_t head = of_owner.begin; head < of_owner.end; ++head)
            sum += shares.data[(group * heads + head) * shares.count + place];
    to.data[owner * to.head_stride + place / to.columns * to.row_stride + place % to.columns] += sum;
}

/// Calls `each` with the shares of every term and the gradient that they become.
template <class Each>
void for_each_term(const AttentionTermGradients& gradients, TermShares& shares, const Each& each) {
    each(shares.key_table, gradients.key_table);
    each(shares.query_table, gradients.query_table);
    each(shares.value_table, gradients.value_table);
    each(shares.content_bias, gradients.content_bias);
    each(shares.position_bias, gradients.position_bias);
    for (int n = 0; n < max_attention_biases; ++n) each(shares.biases[n], gradients.biases[n]);
}

/// Lays D, the shares and, if wanted, the marks of regular sequences out in scratch memory.
template <class T>
void lay_out(const AttentionBackward& args, Backward<T>& b, bool with_marks) {
    const std::int64_t q_rows = args.q.shape[0], heads = b.pairs.heads;
    std::int64_t of_block = 0;  // numbers in the shares of one block
    for_each_term(args.dterms, b.shares, [&](Shares& shares, const Tensor& gradient) {
        if (gradient) shares.count = gradient.count() / gradient.shape[0];
        of_block += shares.count;
    });
    b.groups = of_block == 0 || q_rows < most_shares ? q_rows : most_shares;
    const std::int64_t blocks = b.groups * heads;
    const std::int64_t words = q_rows * heads + blocks * of_block + b.pairs.sequences;
    auto* next = static_cast<float*>(scratch(static_cast<std::size_t>(words) * sizeof(float)));
    b.weighted_sum = next;
    next += q_rows * heads;
    for_each_term(args.dterms, b.shares, [&](Shares& shares, const Tensor& gradient) {
        if (gradient) shares.data = next;
        next += blocks * shares.count;
    });
    if (with_marks) b.regular = reinterpret_cast<std::int32_t*>(next);
}

/// Everything, or only the gradients of the terms that sequences which are not regular contribute to.
template <class T>
void backward(const AttentionBackward& args, bool of_rows) {
    const char* const op = "attention_backward";
    Backward<T> b(op, args);
    lay_out(args, b, !of_rows);
    if (!of_rows) {
        b.dq = {};
        for (ChannelGradients& gradients : b.dchannels) gradients = {};
        mark_regular_sequences(args, b.regular);
    }
    const std::int64_t heads = b.pairs.heads;
    const auto row_bytes = static_cast<std::size_t>(b.pairs.head_dim) * sizeof(float);
    launch(one_block_each(op, b.groups * heads, tile_pairs, row_bytes), attention_query_gradients_kernel<T>, b);
    if (of_rows)
        launch(one_block_each(op, args.k.shape[0] * heads, tile_pairs, 2 * row_bytes),
               attention_key_gradients_kernel<T>, b);
    for_each_term(args.dterms, b.shares, [&](const Shares& shares, const Tensor& gradient) {
        if (shares.data != nullptr)
            launch(one_thread_each(op, gradient.count()), add_shares_kernel, shares, b.groups, heads,
                   TermGradient(gradient), b.regular, b.pairs.sequences);
    });
}

void backward_in_storage(const AttentionBackward& args, bool of_rows) {
    for_storage("attention_backward", args.q.dtype, [&](auto zero) { backward<decltype(zero)>(args, of_rows); });
}

bool asks_for_terms(const AttentionBackward& args) {
    bool asks = false;
    TermShares none;
    for_each_term(args.dterms, none, [&](const Shares&, const Tensor& gradient) { asks = asks || gradient; });
    return asks;
}

void backward_on_tensor_cores(const AttentionBackward& args) {
    attention_fused_backward(args);
    if (asks_for_terms(args) && uses_positions(args.terms)) backward_in_storage(args, false);
}

}  // namespace

void attention_backward(const AttentionBackward& args) {
    if (!is_fusable(args) || !begins_at_16_bytes(args.dout)) return backward_in_storage(args, true);
    if (queries_are_some_rows(args)) return with_queries_in_slots(args, backward_on_tensor_cores);
    backward_on_tensor_cores(args);
}

}  // namespace locus::LOCUS_TARGET
