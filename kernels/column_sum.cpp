// Sum over rows, in fixed blocks of rows (row_blocks.h).

#include "kernels/column_sum.h"

#include "kernels/checks.h"
#include "kernels/for_dtype.h"
#include "kernels/isa.h"
#include "kernels/row_blocks.h"

namespace locus::LOCUS_TARGET {
namespace {

[[maybe_unused]] void check(const ColumnSum& args) {
    const Op op = {"column_sum", args.x.device};
    const Shape shape = matrix_shape(op, "x", args.x);
    check_rows(op, "x", args.x, shape);
    check_contiguous(op, "sum", args.sum, {shape[1]});
}

}  // namespace

void column_sum(const ColumnSum& args) {
    const Shape shape = args.x.shape;
    for_dtype("column_sum", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
        const T* const x = args.x.as<T>();
        const std::int64_t stride = args.x.strides[0], columns = shape[1];
        T* const sum = args.sum.as<T>();
        sum_row_blocks<T>(
            shape[0], columns,
            [=](std::int64_t begin, std::int64_t end, T* partial) {
                for (std::int64_t r = begin; r < end; ++r) {
                    const T* const row = x + r * stride;
#pragma omp simd
                    for (std::int64_t c = 0; c < columns; ++c) partial[c] += row[c];
                }
            },
            [=](std::int64_t c, T total) { sum[c] += total; });
    });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(column_sum, ColumnSum, x)
