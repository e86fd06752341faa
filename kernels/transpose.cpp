#include "kernels/transpose.h"

#include "kernels/checks.h"
#include "kernels/for_dtype.h"
#include "kernels/isa.h"

namespace locus::LOCUS_TARGET {
namespace {

[[maybe_unused]] void check(const Transpose& args) {
    const Op op = {"transpose", args.x.device};
    const Shape shape = matrix_shape(op, "x", args.x);
    check_contiguous(op, "x", args.x, shape);
    check_contiguous(op, "y", args.y, {shape[1], shape[0]});
}

}  // namespace

void transpose(const Transpose& args) {
    for_dtype("transpose", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
        const std::int64_t rows = args.x.shape[0], columns = args.x.shape[1];
        const T* const x = args.x.as<T>();
        T* const y = args.y.as<T>();
        const bool accumulate = args.accumulate;
#pragma omp parallel for schedule(static)
        for (std::int64_t c = 0; c < columns; ++c) {
            for (std::int64_t r = 0; r < rows; ++r) {
                T& to = y[c * rows + r];
                to = accumulate ? to + x[r * columns + c] : x[r * columns + c];
            }
        }
    });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(transpose, Transpose, x)
