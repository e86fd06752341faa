// One product per step, then the gates row by row. The product is the library's (matmul.h), with its threads where they pay; the gates' loop
// runs over the sequences of the step.

#include "kernels/recurrent.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "kernels/checks.h"
#include "kernels/column_sum.h"
#include "kernels/for_dtype.h"
#include "kernels/isa.h"
#include "kernels/matmul.h"
#include "kernels/row_blocks.h"
#include "kernels/vector_math.h"

namespace locus::LOCUS_TARGET {
namespace {

// Which rows of the batch take which step. The n-th sequence is the n-th longest, equal ones in their order.
class Steps {
public:
    Steps(const AttentionRows& rows, bool reverse)
        : offsets_(rows.offsets.as<std::int32_t>()), sequences_(rows.offsets.count() - 1), reverse_(reverse) {
        for (std::int64_t s = 0; s < sequences_; ++s) longest_ = std::max(longest_, length(s));
        order_ = kept_scratch<std::int32_t>(sequences_ + longest_ + 1);
        std::iota(order_, order_ + sequences_, 0);
        std::sort(order_, order_ + sequences_, [this](std::int32_t a, std::int32_t b) {
            return length(a) != length(b) ? length(a) > length(b) : a < b;
        });
        first_ = order_ + sequences_;
        first_[0] = 0;
        std::int64_t going = sequences_;
        for (std::int64_t t = 0; t < longest_; ++t) {
            while (length(order_[going - 1]) <= t) --going;
            first_[t + 1] = first_[t] + static_cast<std::int32_t>(going);
        }
    }

    std::int64_t longest() const { return longest_; }
    /// The first packed row of a step, and how many it has.
    std::int64_t first(std::int64_t t) const { return first_[t]; }
    std::int64_t count(std::int64_t t) const { return t < longest_ ? first_[t + 1] - first_[t] : 0; }
    /// The row of the batch that is the n-th of step t.
    std::int64_t row(std::int64_t t, std::int64_t n) const {
        const std::int64_t s = order_[n];
        return reverse_ ? offsets_[s + 1] - 1 - t : offsets_[s] + t;
    }

private:
    std::int64_t length(std::int64_t s) const { return offsets_[s + 1] - offsets_[s]; }

    const std::int32_t* offsets_;
    std::int64_t sequences_, longest_ = 0;
    bool reverse_;
    std::int32_t* order_ = nullptr;
    std::int32_t* first_ = nullptr;
};

// One thread for a step whose product is done before others would have woken up; it depends on the step alone, so bits do not change with the
// number of threads.
class StepThreads {
public:
    StepThreads(std::int64_t rows, const Tensor& weight) : before_(omp_get_max_threads()) {
        constexpr std::int64_t enough = 1 << 19;  // multiply-adds
        if (rows * weight.count() < enough) omp_set_num_threads(1);
    }
    ~StepThreads() { omp_set_num_threads(before_); }
    StepThreads(const StepThreads&) = delete;
    StepThreads& operator=(const StepThreads&) = delete;

private:
    int before_;
};

template <class T>
T logistic(T x) {
    return T(1) / (T(1) + vector_exp(-x));
}

// The gates of one row, before their functions on entry and after on return, and what the forward pass makes of them.
template <class T>
struct CellRow {
    const T *x, *before, *memory_before;  // memory_before: absent at the first step
    T *gates, *memory, *h;
};

template <class T>
void tanh_row(const CellRow<T>& row, std::int64_t states) {
    const T* const x = row.x;
    T *const gate = row.gates, *const h = row.h;
#pragma omp simd
    for (std::int64_t c = 0; c < states; ++c) h[c] = gate[c] = vector_tanh(x[c] + gate[c]);
}

template <class T>
void gru_row(const CellRow<T>& row, std::int64_t states) {
    const T *const x = row.x, *const before = row.before;
    T *const gate = row.gates, *const memory = row.memory, *const h = row.h;
#pragma omp simd
    for (std::int64_t c = 0; c < states; ++c) {
        const T r = logistic(x[c] + gate[c]), z = logistic(x[states + c] + gate[states + c]),
                inner = gate[2 * states + c];
        const T n = vector_tanh(x[2 * states + c] + r * inner);
        gate[c] = r;
        gate[states + c] = z;
        gate[2 * states + c] = n;
        memory[c] = inner;
        h[c] = n + z * (before[c] - n);
    }
}

template <class T>
void lstm_row(const CellRow<T>& row, std::int64_t states) {
    const T *const x = row.x, *const memory_before = row.memory_before;
    T *const gate = row.gates, *const memory = row.memory, *const h = row.h;
    const bool has_memory = memory_before != nullptr;
#pragma omp simd
    for (std::int64_t c = 0; c < states; ++c) {
        const T i = logistic(x[c] + gate[c]), f = logistic(x[states + c] + gate[states + c]);
        const T g = vector_tanh(x[2 * states + c] + gate[2 * states + c]);
        const T o = logistic(x[3 * states + c] + gate[3 * states + c]);
        gate[c] = i;
        gate[states + c] = f;
        gate[2 * states + c] = g;
        gate[3 * states + c] = o;
        memory[c] = i * g + (has_memory ? f * memory_before[c] : T(0));
        h[c] = o * vector_tanh(memory[c]);
    }
}

template <class T>
void step_forward(const RecurrentForward& args, const Steps& steps, std::int64_t t) {
    const std::int64_t first = steps.first(t), count = steps.count(t), going = steps.count(t + 1), end = first + count;
    const std::int64_t states = args.weight.shape[1], width = args.weight.shape[0];
    const Tensor gates = args.gates.slice(0, first, end);
    const StepThreads threads(count, args.weight);
    matmul(
        {.a = args.before.slice(0, first, end), .b = args.weight, .c = gates, .transpose_b = true, .bias = args.bias});
    T *const before = args.before.as<T>() + first * states, *const memory = args.memory.as<T>() + first * states;
    const T* const earlier = t == 0 ? nullptr : args.memory.as<T>() + steps.first(t - 1) * states;
#pragma omp parallel for schedule(static)
    for (std::int64_t n = 0; n < count; ++n) {
        const std::int64_t r = steps.row(t, n);
        const CellRow<T> row = {args.x.as<T>() + r * args.x.strides[0],
                                before + n * states,
                                earlier == nullptr ? nullptr : earlier + n * states,
                                gates.as<T>() + n * width,
                                memory + n * states,
                                args.h.as<T>() + r * args.h.strides[0]};
        if (args.cell == Cell::tanh) tanh_row(row, states);
        if (args.cell == Cell::gru) gru_row(row, states);
        if (args.cell == Cell::lstm) lstm_row(row, states);
        if (n < going) std::copy_n(row.h, states, before + (count + n) * states);
    }
}

template <class T>
void forward(const RecurrentForward& args) {
    const Steps steps(args.rows, args.reverse);
    const std::int64_t states = args.weight.shape[1];
    T* const before = args.before.as<T>();
    for (std::int64_t n = 0; n < steps.count(0); ++n) {
        if (args.start) {
            std::copy_n(args.start.as<T>(), states, before + n * states);
        } else {
            std::fill_n(before + n * states, states, T(0));
        }
    }
    for (std::int64_t t = 0; t < steps.longest(); ++t) step_forward<T>(args, steps, t);
}

// One row on the way back. dh: on entry what later steps say about this state, on return the direct part of what this step says about the state
// before; dmemory: the same for an lstm's c. gates: after their functions on entry, the gradient before them on return.
template <class T>
struct CellGradientRow {
    const T *dy, *before, *memory, *memory_before;
    T *gates, *dx, *dh, *dmemory;
};

template <bool accumulate, class T>
void put(T* to, T value) {
    *to = accumulate ? *to + value : value;
}

template <bool accumulate, class T>
void tanh_row_backward(const CellGradientRow<T>& row, std::int64_t states) {
    const T* const dy = row.dy;
    T *const gate = row.gates, *const dx = row.dx, *const dh = row.dh;
#pragma omp simd
    for (std::int64_t c = 0; c < states; ++c) {
        const T d = (dy[c] + dh[c]) * (T(1) - gate[c] * gate[c]);
        gate[c] = d;
        put<accumulate>(dx + c, d);
        dh[c] = T(0);
    }
}

template <bool accumulate, class T>
void gru_row_backward(const CellGradientRow<T>& row, std::int64_t states) {
    const T *const dy = row.dy, *const before = row.before, *const inner = row.memory;
    T *const gate = row.gates, *const dx = row.dx, *const dh = row.dh;
#pragma omp simd
    for (std::int64_t c = 0; c < states; ++c) {
        const T r = gate[c], z = gate[states + c], n = gate[2 * states + c], total = dy[c] + dh[c];
        const T dn = total * (T(1) - z) * (T(1) - n * n);
        const T dz = total * (before[c] - n) * z * (T(1) - z);
        const T dr = dn * inner[c] * r * (T(1) - r);
        gate[c] = dr;
        gate[states + c] = dz;
        gate[2 * states + c] = dn * r;
        put<accumulate>(dx + c, dr);
        put<accumulate>(dx + states + c, dz);
        put<accumulate>(dx + 2 * states + c, dn);
        dh[c] = total * z;
    }
}

template <bool accumulate, class T>
void lstm_row_backward(const CellGradientRow<T>& row, std::int64_t states) {
    const T *const dy = row.dy, *const memory = row.memory, *const memory_before = row.memory_before;
    T *const gate = row.gates, *const dx = row.dx, *const dh = row.dh, *const dmemory = row.dmemory;
#pragma omp simd
    for (std::int64_t c = 0; c < states; ++c) {
        const T i = gate[c], f = gate[states + c], g = gate[2 * states + c], o = gate[3 * states + c];
        const T total = dy[c] + dh[c], bent = vector_tanh(memory[c]);
        const T dc = dmemory[c] + total * o * (T(1) - bent * bent);
        const T di = dc * g * i * (T(1) - i), df = dc * memory_before[c] * f * (T(1) - f);
        const T dg = dc * i * (T(1) - g * g), dout = total * bent * o * (T(1) - o);
        gate[c] = di;
        gate[states + c] = df;
        gate[2 * states + c] = dg;
        gate[3 * states + c] = dout;
        put<accumulate>(dx + c, di);
        put<accumulate>(dx + states + c, df);
        put<accumulate>(dx + 2 * states + c, dg);
        put<accumulate>(dx + 3 * states + c, dout);
        dh[c] = T(0);
        dmemory[c] = dc * f;
    }
}

template <bool accumulate, class T>
void row_backward(Cell cell, const CellGradientRow<T>& row, std::int64_t states) {
    if (cell == Cell::tanh) tanh_row_backward<accumulate>(row, states);
    if (cell == Cell::gru) gru_row_backward<accumulate>(row, states);
    if (cell == Cell::lstm) lstm_row_backward<accumulate>(row, states);
}

// Of all sequences, longest first: a sequence whose last step is still to come on the way back has zeros here.
struct Later {
    Tensor dh, dmemory;
    Tensor nothing;  // a row of zeros: what an lstm remembers at the first step
};

template <class T>
void step_backward(const RecurrentBackward& args, const Steps& steps, std::int64_t t, const Later& later) {
    const std::int64_t first = steps.first(t), count = steps.count(t);
    const std::int64_t states = args.weight.shape[1], width = args.weight.shape[0];
    const Tensor gates = args.gates.slice(0, first, first + count);
    const StepThreads threads(count, args.weight);
    const T *const before = args.before.as<T>() + first * states, *const memory = args.memory.as<T>() + first * states;
    const T* const earlier = t == 0 ? later.nothing.as<T>() : args.memory.as<T>() + steps.first(t - 1) * states;
#pragma omp parallel for schedule(static)
    for (std::int64_t n = 0; n < count; ++n) {
        const std::int64_t r = steps.row(t, n);
        const CellGradientRow<T> row = {args.dy.as<T>() + r * args.dy.strides[0],
                                        before + n * states,
                                        memory + n * states,
                                        t == 0 ? earlier : earlier + n * states,
                                        gates.as<T>() + n * width,
                                        args.dx.as<T>() + r * args.dx.strides[0],
                                        later.dh.as<T>() + n * states,
                                        later.dmemory.as<T>() + n * states};
        args.accumulate ? row_backward<true>(args.cell, row, states) : row_backward<false>(args.cell, row, states);
    }
    matmul({.a = gates, .b = args.weight, .c = later.dh.slice(0, 0, count), .accumulate = true});
}

template <class T>
void backward(const RecurrentBackward& args) {
    const Steps steps(args.rows, args.reverse);
    if (steps.longest() == 0) return;
    const auto zeros = [&](std::int64_t count) {
        const Tensor tensor = args.arena->tensor({count, args.weight.shape[1]}, args.dy.dtype);
        std::memset(tensor.data, 0, static_cast<std::size_t>(tensor.bytes()));
        return tensor;
    };
    const Later later = {zeros(steps.count(0)), zeros(steps.count(0)), zeros(1)};
    for (std::int64_t t = steps.longest() - 1; t >= 0; --t) step_backward<T>(args, steps, t, later);
    matmul({.a = args.gates, .b = args.before, .c = args.dweight, .transpose_a = true, .accumulate = true});
    column_sum({.x = args.gates, .sum = args.dbias});
    if (args.dstart) column_sum({.x = later.dh, .sum = args.dstart});
    for (const Tensor& tensor : {later.nothing, later.dmemory, later.dh}) args.arena->give_back(tensor.data);
}

struct Extents {
    std::int64_t rows, states, width;
};

Extents check(Op op, Cell cell, const Tensor& weight, const AttentionRows& rows, std::int64_t count) {
    const Shape shape = matrix_shape(op, "weight", weight);
    check_contiguous(op, "weight", weight, {gates_of(cell) * shape[1], shape[1]});
    check_contiguous(op, "offsets", rows.offsets, {rows.offsets.count()});
    LOCUS_CHECK(rows.offsets.count() >= 1, op.name, "offsets are absent");
    return {count, shape[1], shape[0]};
}

[[maybe_unused]] void check(const RecurrentForward& args) {
    const Op op = {"recurrent", args.x.device};
    const Extents size = check(op, args.cell, args.weight, args.rows, matrix_shape(op, "x", args.x)[0]);
    check_rows(op, "x", args.x, {size.rows, size.width});
    check_rows(op, "h", args.h, {size.rows, size.states});
    check_contiguous(op, "bias", args.bias, {size.width});
    if (args.start) check_contiguous(op, "start", args.start, {size.states});
    check_contiguous(op, "before", args.before, {size.rows, size.states});
    check_contiguous(op, "gates", args.gates, {size.rows, size.width});
    check_contiguous(op, "memory", args.memory, {size.rows, size.states});
}

[[maybe_unused]] void check(const RecurrentBackward& args) {
    const Op op = {"recurrent_backward", args.dy.device};
    const Extents size = check(op, args.cell, args.weight, args.rows, matrix_shape(op, "dy", args.dy)[0]);
    check_rows(op, "dy", args.dy, {size.rows, size.states});
    check_rows(op, "dx", args.dx, {size.rows, size.width});
    check_contiguous(op, "before", args.before, {size.rows, size.states});
    check_contiguous(op, "gates", args.gates, {size.rows, size.width});
    check_contiguous(op, "memory", args.memory, {size.rows, size.states});
    check_contiguous(op, "dweight", args.dweight, args.weight.shape);
    check_contiguous(op, "dbias", args.dbias, {size.width});
    if (args.dstart) check_contiguous(op, "dstart", args.dstart, {size.states});
    LOCUS_CHECK(args.arena != nullptr, op.name, "arena is absent");
}

// The packed rows are written without looking again.
void check_last_row(const char* op, const AttentionRows& rows, std::int64_t count) {
    const std::int32_t end = rows.offsets.as<std::int32_t>()[rows.offsets.count() - 1];
    LOCUS_CHECK(end == count, op,
                "the offsets end at row " + std::to_string(end) + ", there are " + std::to_string(count));
}

}  // namespace

void recurrent_forward(const RecurrentForward& args) {
    const char* const op = "recurrent";
    check_last_row(op, args.rows, args.x.shape[0]);
    for_dtype(op, args.x.dtype, [&](auto zero) { forward<decltype(zero)>(args); });
}

void recurrent_backward(const RecurrentBackward& args) {
    const char* const op = "recurrent_backward";
    check_last_row(op, args.rows, args.dy.shape[0]);
    for_dtype(op, args.dy.dtype, [&](auto zero) { backward<decltype(zero)>(args); });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(recurrent_forward, RecurrentForward, x)
LOCUS_KERNEL(recurrent_backward, RecurrentBackward, dy)
