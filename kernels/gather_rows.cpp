// Selected rows: copies, and zeros between them on the way back.

#include "kernels/gather_rows.h"

#include <algorithm>
#include <string>

#include "kernels/checks.h"
#include "kernels/for_dtype.h"
#include "kernels/isa.h"

namespace locus::LOCUS_TARGET {
namespace {

// Strictly increasing indices are what makes the backward pass free of collisions.
const std::int32_t* check_indices(const Tensor& indices, std::int64_t selected, std::int64_t rows) {
    const auto* index = indices.as<std::int32_t>();
    for (std::int64_t m = 0; m < selected; ++m) {
        if (index[m] < 0 || index[m] >= rows) {
            throw std::out_of_range("[gather_rows] index " + std::to_string(index[m]) + " at " + std::to_string(m) +
                                    " is outside [0, " + std::to_string(rows) + ")");
        }
        if (m > 0 && index[m] <= index[m - 1]) {
            throw std::out_of_range("[gather_rows] index " + std::to_string(index[m]) + " at " + std::to_string(m) +
                                    " does not exceed the one before it, " + std::to_string(index[m - 1]));
        }
    }
    return index;
}

template <class T>
void backward(const GatherRowsBackward& args, const std::int32_t* index, std::int64_t rows, std::int64_t selected,
              std::int64_t columns) {
    const T* const dy = args.dy.as<T>();
    T* const dx = args.dx.as<T>();
#pragma omp parallel for schedule(static)
    for (std::int64_t m = 0; m <= selected;
         ++m) {  // the gap before selected row m, then the row; m = selected is the last gap
        const std::int64_t gap_begin = m == 0 ? 0 : index[m - 1] + 1;
        const std::int64_t gap_end = m == selected ? rows : index[m];
        if (!args.accumulate) std::fill(dx + gap_begin * columns, dx + gap_end * columns, T{0});
        if (m == selected) continue;
        const T* const from = dy + m * columns;
        T* const to = dx + gap_end * columns;
        if (!args.accumulate) {
            std::copy_n(from, columns, to);
            continue;
        }
#pragma omp simd
        for (std::int64_t c = 0; c < columns; ++c) to[c] += from[c];
    }
}

[[maybe_unused]] void check(const GatherRowsForward& args) {
    const Op op = {"gather_rows", args.x.device};
    const Shape x_shape = matrix_shape(op, "x", args.x), y_shape = matrix_shape(op, "y", args.y);
    check_contiguous(op, "x", args.x, x_shape);
    check_contiguous(op, "y", args.y, {y_shape[0], x_shape[1]});
    check_contiguous(op, "indices", args.indices, {y_shape[0]});
}

[[maybe_unused]] void check(const GatherRowsBackward& args) {
    const Op op = {"gather_rows", args.dx.device};
    const Shape dx_shape = matrix_shape(op, "dx", args.dx), dy_shape = matrix_shape(op, "dy", args.dy);
    check_contiguous(op, "dx", args.dx, dx_shape);
    check_contiguous(op, "dy", args.dy, {dy_shape[0], dx_shape[1]});
    check_contiguous(op, "indices", args.indices, {dy_shape[0]});
}

}  // namespace

void gather_rows_forward(const GatherRowsForward& args) {
    const Shape x_shape = args.x.shape, y_shape = args.y.shape;
    const std::int32_t* const index = check_indices(args.indices, y_shape[0], x_shape[0]);
    for_dtype("gather_rows", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
        const T* const x = args.x.as<T>();
        T* const y = args.y.as<T>();
        const std::int64_t selected = y_shape[0], columns = x_shape[1];
#pragma omp parallel for schedule(static)
        for (std::int64_t m = 0; m < selected; ++m) std::copy_n(x + index[m] * columns, columns, y + m * columns);
    });
}

void gather_rows_backward(const GatherRowsBackward& args) {
    const Shape dx_shape = args.dx.shape, dy_shape = args.dy.shape;
    const std::int32_t* const index = check_indices(args.indices, dy_shape[0], dx_shape[0]);
    for_dtype("gather_rows", args.dx.dtype,
              [&](auto zero) { backward<decltype(zero)>(args, index, dx_shape[0], dy_shape[0], dx_shape[1]); });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(gather_rows_forward, GatherRowsForward, x)
LOCUS_KERNEL(gather_rows_backward, GatherRowsBackward, dx)
