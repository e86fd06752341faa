#include "kernels/min_gru.h"

#include "kernels/checks.h"
#include "kernels/for_dtype.h"
#include "kernels/isa.h"
#include "kernels/sequence_blocks.h"
#include "kernels/vector_math.h"

namespace locus::LOCUS_TARGET {
namespace {

template <class T>
T logistic(T x) {
    return T(1) / (T(1) + vector_exp(-x));
}

template <class T>
void forward(const MinGruForward& args) {
    const std::int64_t channels = args.h.shape[1];
    for_sequence_blocks(args.rows, channels, [&](const SequenceBlock& block) {
        T state[channels_per_block] = {};
        for (std::int64_t t = 0; t < block.end - block.begin; ++t) {
            const std::int64_t r = block.row(t, args.reverse);
            const T* const k = args.x.as<T>() + r * args.x.strides[0] + block.first;
            T* const h = args.h.as<T>() + r * args.h.strides[0] + block.first;
#pragma omp simd
            for (std::int64_t c = 0; c < block.count; ++c) {
                const T v = k[channels + c], candidate = v >= T(0) ? v + T(0.5) : logistic(v);
                state[c] += logistic(k[c]) * (candidate - state[c]);
                h[c] = state[c];
            }
        }
    });
}

// Where a block of a row begins in each matrix. later: what the steps after say about this state.
template <class T>
struct GradientRow {
    const T *dh, *k, *v, *before;
    T *dk, *dv, *later;
};

template <bool accumulate, class T>
void row_backward(const GradientRow<T>& row, std::int64_t count) {
    const T *const dh = row.dh, *const k = row.k, *const v = row.v, *const before = row.before;
    T *const dk = row.dk, *const dv = row.dv, *const later = row.later;
#pragma omp simd
    for (std::int64_t c = 0; c < count; ++c) {
        const T z = logistic(k[c]), bent = logistic(v[c]), candidate = v[c] >= T(0) ? v[c] + T(0.5) : bent;
        const T slope = v[c] >= T(0) ? T(1) : bent * (T(1) - bent), d = dh[c] + later[c];
        const T of_gate = d * (candidate - before[c]) * z * (T(1) - z), of_value = d * z * slope;
        dk[c] = accumulate ? dk[c] + of_gate : of_gate;
        dv[c] = accumulate ? dv[c] + of_value : of_value;
        later[c] = d * (T(1) - z);
    }
}

template <class T>
void backward(const MinGruBackward& args) {
    const std::int64_t channels = args.h.shape[1];
    for_sequence_blocks(args.rows, channels, [&](const SequenceBlock& block) {
        T later[channels_per_block] = {};
        const T start[channels_per_block] = {};
        const T* const h = args.h.as<T>() + block.first;
        for (std::int64_t t = block.end - block.begin - 1; t >= 0; --t) {
            const std::int64_t r = block.row(t, args.reverse);
            const T* const k = args.x.as<T>() + r * args.x.strides[0] + block.first;
            T* const dk = args.dx.as<T>() + r * args.dx.strides[0] + block.first;
            const GradientRow<T> row = {args.dh.as<T>() + r * args.dh.strides[0] + block.first,
                                        k,
                                        k + channels,
                                        t == 0 ? start : h + block.row(t - 1, args.reverse) * args.h.strides[0],
                                        dk,
                                        dk + channels,
                                        later};
            args.accumulate ? row_backward<true>(row, block.count) : row_backward<false>(row, block.count);
        }
    });
}

[[maybe_unused]] void check(const MinGruForward& args) {
    const Op op = {"min_gru", args.x.device};
    const Shape shape = matrix_shape(op, "h", args.h);
    check_rows(op, "h", args.h, shape);
    check_rows(op, "x", args.x, {shape[0], 2 * shape[1]});
    check_dtype(op, "x", args.x, args.h.dtype);
    check_contiguous(op, "offsets", args.rows.offsets, {args.rows.offsets.count()});
}

[[maybe_unused]] void check(const MinGruBackward& args) {
    const Op op = {"min_gru_backward", args.dh.device};
    const Shape shape = matrix_shape(op, "h", args.h);
    check_rows(op, "h", args.h, shape);
    check_rows(op, "dh", args.dh, shape);
    check_rows(op, "x", args.x, {shape[0], 2 * shape[1]});
    check_rows(op, "dx", args.dx, {shape[0], 2 * shape[1]});
    check_contiguous(op, "offsets", args.rows.offsets, {args.rows.offsets.count()});
}

}  // namespace

void min_gru_forward(const MinGruForward& args) {
    for_dtype("min_gru", args.h.dtype, [&](auto zero) { forward<decltype(zero)>(args); });
}

void min_gru_backward(const MinGruBackward& args) {
    for_dtype("min_gru_backward", args.h.dtype, [&](auto zero) { backward<decltype(zero)>(args); });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(min_gru_forward, MinGruForward, x)
LOCUS_KERNEL(min_gru_backward, MinGruBackward, dh)
