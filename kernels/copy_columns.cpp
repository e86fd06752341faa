#include "kernels/copy_columns.h"

#include "kernels/checks.h"
#include "kernels/for_dtype.h"
#include "kernels/isa.h"

namespace locus::LOCUS_TARGET {
namespace {

[[maybe_unused]] void check(const CopyColumns& args) {
    const Op op = {"copy_columns", args.x.device};
    const Shape shape = matrix_shape(op, "x", args.x);
    check_rows(op, "x", args.x, shape);
    check_rows(op, "y", args.y, shape);
    if (op.device == Device::cpu) check_dtype(op, "y", args.y, args.x.dtype);
}

}  // namespace

void copy_columns(const CopyColumns& args) {
    const Shape shape = args.x.shape;
    for_dtype("copy_columns", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
#pragma omp parallel for schedule(static)
        for (std::int64_t r = 0; r < shape[0]; ++r) {
            const T* const x = args.x.as<T>() + r * args.x.strides[0];
            T* const y = args.y.as<T>() + r * args.y.strides[0];
            if (args.accumulate) {  // NOLINT(bugprone-branch-clone): apart, because y may hold anything, NaN included
#pragma omp simd
                for (std::int64_t c = 0; c < shape[1]; ++c) y[c] += x[c];
            } else {
#pragma omp simd
                for (std::int64_t c = 0; c < shape[1]; ++c) y[c] = x[c];
            }
        }
    });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(copy_columns, CopyColumns, x)
