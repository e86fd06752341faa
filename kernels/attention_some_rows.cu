// Queries into slots among the keys and back: attention_some_rows.h says what for.
//
//   1. count    a block for each sequence: how many slots it has
//   2. assign   a block for each sequence: which query has which slot, and the position of each slot
//   3. copy     rows into slots and back, a thread for each eight numbers: one read and one write per element, memory bound

#include "kernels/attention_some_rows.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/attention_fused.h"
#include "kernels/gpu_attention_pair.h"
#include "kernels/gpu_vector.h"

namespace locus::LOCUS_TARGET {
namespace {

constexpr const char* name = "attention_some_rows";
constexpr std::int32_t none = -1;

/// Whose queries.
struct Batch {
    const std::int32_t *q_offsets, *k_offsets, *q_positions, *k_positions;
    const std::int32_t *dropout_sequence, *dropout_position;  // or null

    __device__ Span queries(std::int64_t s) const { return {q_offsets[s], q_offsets[s + 1]}; }
    __device__ Span keys(std::int64_t s) const { return {k_offsets[s], k_offsets[s + 1]}; }
};

/// Of a sequence.
struct SlotCount {
    std::int32_t slots, among_keys;  // the second 1 where the queries stand among the keys
};

/// What each slot has, [count]; the slot of each query, [q_rows]; where the slots of each sequence begin, [sequences + 1].
struct SlotNumbers {
    std::int32_t *query, *position;                     // none where it is empty
    std::int32_t *dropout_sequence, *dropout_position;  // or null
    std::int32_t *slot_of_query, *offsets;
    std::int64_t count;

    __device__ void leave_empty(std::int64_t slot, std::int64_t at_position) const {
        query[slot] = none;
        position[slot] = static_cast<std::int32_t>(at_position);
        if (dropout_sequence != nullptr) dropout_sequence[slot] = dropout_position[slot] = 0;
    }
    __device__ void fill(std::int64_t slot, std::int64_t row, const Batch& batch) const {
        query[slot] = static_cast<std::int32_t>(row);
        slot_of_query[row] = static_cast<std::int32_t>(slot);
        position[slot] = batch.q_positions[row];
        if (dropout_sequence == nullptr) return;
        dropout_sequence[slot] = batch.dropout_sequence[row];
        dropout_position[slot] = batch.dropout_position[row];
    }
};

// ---- 1. count ----

/// 1 where a thread has found a key that does not run on, or a query that does not rise among the keys.
__device__ int find_stray(const Batch& batch, Span queries, Span keys) {
    if (keys.begin == keys.end) return queries.begin == queries.end ? 0 : 1;
    const std::int64_t first = batch.k_positions[keys.begin], end = first + keys.end - keys.begin;
    for (std::int64_t n = keys.begin + threadIdx.x; n < keys.end; n += blockDim.x)
        if (batch.k_positions[n] - first != n - keys.begin) return 1;
    for (std::int64_t n = queries.begin + threadIdx.x; n < queries.end; n += blockDim.x) {
        const std::int64_t position = batch.q_positions[n];
        if (position < first || position >= end) return 1;
        if (n > queries.begin && position <= batch.q_positions[n - 1]) return 1;
    }
    return 0;
}

__global__ void count_slots_kernel(Batch batch, SlotCount* counts) {
    const Span queries = batch.queries(blockIdx.x), keys = batch.keys(blockIdx.x);
    const bool among_keys = block_max(find_stray(batch, queries, keys)) == 0 && queries.begin < queries.end;
    if (threadIdx.x != 0) return;
    const std::int64_t slots = among_keys ? keys.end - keys.begin : queries.end - queries.begin;
    counts[blockIdx.x] = {static_cast<std::int32_t>(slots), among_keys ? 1 : 0};
}

// ---- 2. assign ----

/// How many slots the sequences before this one have. All threads of the block have to come.
__device__ std::int64_t slots_before(const SlotCount* counts, std::int64_t sequence) {
    std::int32_t sum = 0;
    for (std::int64_t s = threadIdx.x; s < sequence; s += blockDim.x) sum += counts[s].slots;
    return block_sum(sum);
}

__global__ void assign_slots_kernel(Batch batch, const SlotCount* counts, SlotNumbers slots) {
    const std::int64_t s = blockIdx.x, sequences = gridDim.x, begin = slots_before(counts, s),
                       end = begin + counts[s].slots;
    const Span queries = batch.queries(s);
    const bool among_keys = counts[s].among_keys != 0;
    const std::int64_t first = among_keys ? batch.k_positions[batch.k_offsets[s]] : 0;
    if (among_keys)
        for (std::int64_t n = begin + threadIdx.x; n < end; n += blockDim.x) slots.leave_empty(n, first + n - begin);
    __syncthreads();  // queries come over it
    for (std::int64_t n = queries.begin + threadIdx.x; n < queries.end; n += blockDim.x)
        slots.fill(begin + (among_keys ? batch.q_positions[n] - first : n - queries.begin), n, batch);
    if (threadIdx.x == 0) slots.offsets[s] = static_cast<std::int32_t>(begin);
    if (s + 1 < sequences) return;
    if (threadIdx.x == 0) slots.offsets[sequences] = static_cast<std::int32_t>(end);
    for (std::int64_t n = end + threadIdx.x; n < slots.count; n += blockDim.x) slots.leave_empty(n, 0);
}

// ---- 3. copy ----

/// Rows of numbers, the heads of each side by side.
template <class T>
struct Rows {
    T* data;
    std::int64_t count, stride, columns;

    explicit Rows(const Tensor& matrix)
        : data(matrix.as<T>()), count(matrix.shape[0]), stride(matrix.strides[0]), columns(matrix.shape[1]) {}
    __device__ T* at(std::int64_t row, std::int64_t column) const { return data + row * stride + column; }
};

// to[n] = from[source[n]]
template <int N, class T>
__global__ void copy_rows_kernel(Rows<T> from, const std::int32_t* source, float where_none, Rows<T> to) {
    const Place at = place_of<N>(to.columns);
    if (at.row >= to.count) return;
    const std::int32_t row = source[at.row];
    Several<N> value;
    for (float& one : value.of) one = where_none;
    if (row != none) value = load_several<N>(from.at(row, at.column));
    store_several(to.at(at.row, at.column), value);
}

/// [rows, heads, channels] or [rows, heads] as a matrix.
Tensor as_matrix(const Tensor& x) {
    const bool of_channels = x.shape.rank() == 3;
    LOCUS_CHECK(!of_channels || stride_is(x, 1, x.shape[2]), name, "heads must be contiguous");
    Tensor matrix = x;
    matrix.shape = {x.shape[0], of_channels ? x.shape[1] * x.shape[2] : x.shape[1]};
    matrix.strides = {x.strides[0], 1};
    return matrix;
}

/// `source`: for each row of `to` that of `from`, or none.
void copy_rows(const Tensor& from, const Tensor& source, float where_none, const Tensor& to) {
    const Tensor x = as_matrix(from), y = as_matrix(to);
    for_storage(name, x.dtype, [&](auto zero) {
        using T = decltype(zero);
        for_width({x, y}, [&](auto width) {
            launch(one_thread_for<width>(name, y.shape[0], y.shape[1]), copy_rows_kernel<width, T>, Rows<T>(x),
                   source.as<std::int32_t>(), where_none, Rows<T>(y));
        });
    });
}

// ---- all of it ----

/// The slots of a call, and tensors that have a row for each. They end with it.
class Slots {
public:
    template <class Args>
    explicit Slots(const Args& args) : arena_(*args.arena), count_(args.q.shape[0] + args.k.shape[0]) {
        const std::int64_t sequences = args.q_rows.offsets.count() - 1;
        const auto numbers = [&](std::int64_t count) { return tensor({count}, DType::int32); };
        rows_ = {.offsets = numbers(sequences + 1),
                 .positions = numbers(count_),
                 .longest = std::max(longest_of(args.q_rows, args.q), longest_of(args.k_rows, args.k))};
        query_of_slot_ = numbers(count_);
        slot_of_query_ = numbers(args.q.shape[0]);
        if (args.dropout) dropout_rows_ = {numbers(count_), numbers(count_)};
        assign_slots(args, numbers(2 * sequences));
    }
    ~Slots() {
        for (void* const block : blocks_) arena_.give_back(block);
    }
    Slots(const Slots&) = delete;
    Slots& operator=(const Slots&) = delete;

    const AttentionRows& rows() const { return rows_; }
    const DropoutRows& dropout_rows() const { return dropout_rows_; }

    /// Uninitialised, a row for each slot instead of those of x.
    Tensor like(const Tensor& x) {
        Shape shape = x.shape;
        shape[0] = count_;
        return tensor(shape, x.dtype);
    }
    /// The rows of x in their slots.
    Tensor put(const Tensor& x, float where_empty = 0.0F) {
        const Tensor slotted = like(x);
        copy_rows(x, query_of_slot_, where_empty, slotted);
        return slotted;
    }
    /// x = what stands in the slots of its rows.
    void take(const Tensor& slotted, const Tensor& x) const { copy_rows(slotted, slot_of_query_, 0.0F, x); }

private:
    Tensor tensor(const Shape& shape, DType dtype) {
        const Tensor x = arena_.tensor(shape, dtype);
        blocks_.push_back(x.data);
        return x;
    }

    template <class Args>
    void assign_slots(const Args& args, const Tensor& counted) {
        const auto numbers = [](const Tensor& x) { return x ? x.template as<std::int32_t>() : nullptr; };
        const Batch batch = {numbers(args.q_rows.offsets),        numbers(args.k_rows.offsets),
                             numbers(args.q_rows.positions),      numbers(args.k_rows.positions),
                             numbers(args.dropout_rows.sequence), numbers(args.dropout_rows.position)};
        const SlotNumbers slots = {numbers(query_of_slot_),
                                   numbers(rows_.positions),
                                   numbers(dropout_rows_.sequence),
                                   numbers(dropout_rows_.position),
                                   numbers(slot_of_query_),
                                   numbers(rows_.offsets),
                                   count_};
        auto* const counts = static_cast<SlotCount*>(counted.data);
        const std::int64_t sequences = rows_.offsets.count() - 1;
        launch(one_block_each(name, sequences), count_slots_kernel, batch, counts);
        launch(one_block_each(name, sequences), assign_slots_kernel, batch, counts, slots);
    }

    Arena& arena_;
    std::int64_t count_;
    std::vector<void*> blocks_;
    AttentionRows rows_;
    DropoutRows dropout_rows_;
    Tensor query_of_slot_, slot_of_query_;
};

/// What forward and backward read of the queries.
template <class Args>
Args in_slots(const Args& args, Slots& slots) {
    Args slotted = args;
    slotted.q = slots.put(args.q);
    slotted.q_rows = slots.rows();
    slotted.dropout_rows = slots.dropout_rows();
    for (AttentionChannels& part : slotted.terms.channels)
        if (part) part.query = slots.put(part.query);
    return slotted;
}

/// These are added to, and lists of channels that come from one variable share a gradient: they have to share its slots, too.
void put_gradients_of_channels(const AttentionTermGradients& given, AttentionTermGradients& slotted, Slots& slots) {
    for (std::size_t n = 0; n < max_attention_channels; ++n) {
        if (!given.channels[n]) continue;
        std::size_t first = 0;
        while (given.channels[first].query.data != given.channels[n].query.data) ++first;
        slotted.channels[n].query = first < n ? slotted.channels[first].query : slots.put(given.channels[n].query);
    }
}

}  // namespace

void with_queries_in_slots(const AttentionForward& args, const std::function<void(const AttentionForward&)>& attend) {
    Slots slots(args);
    AttentionForward slotted = in_slots(args, slots);
    slotted.out = slots.like(args.out);
    slotted.log_sum_exp = slots.like(args.log_sum_exp);
    attend(slotted);
    slots.take(slotted.out, args.out);
    slots.take(slotted.log_sum_exp, args.log_sum_exp);
}

void with_queries_in_slots(const AttentionBackward& args, const std::function<void(const AttentionBackward&)>& attend) {
    Slots slots(args);
    AttentionBackward slotted = in_slots(args, slots);
    slotted.dout = slots.put(args.dout);
    slotted.out = slots.put(args.out);
    slotted.log_sum_exp = slots.put(args.log_sum_exp, INFINITY);
    slotted.dq = args.accumulate ? slots.put(args.dq) : slots.like(args.dq);
    put_gradients_of_channels(args.dterms, slotted.dterms, slots);
    attend(slotted);
    slots.take(slotted.dq, args.dq);
    for (std::size_t n = 0; n < max_attention_channels; ++n)
        if (args.dterms.channels[n]) slots.take(slotted.dterms.channels[n].query, args.dterms.channels[n].query);
}

}  // namespace locus::LOCUS_TARGET
