#include "kernels/tanh.h"

#include "kernels/checks.h"
#include "kernels/for_dtype.h"
#include "kernels/isa.h"
#include "kernels/vector_math.h"

namespace locus::LOCUS_TARGET {
namespace {

[[maybe_unused]] void check(const TanhForward& args) {
    const Op op = {"tanh", args.x.device};
    check_contiguous(op, "x", args.x, args.x.shape);
    check_contiguous(op, "y", args.y, args.x.shape);
    check_dtype(op, "y", args.y, args.x.dtype);
}

[[maybe_unused]] void check(const TanhBackward& args) {
    const Op op = {"tanh", args.y.device};
    check_contiguous(op, "y", args.y, args.y.shape);
    check_contiguous(op, "dy", args.dy, args.y.shape);
    check_contiguous(op, "dx", args.dx, args.y.shape);
}

}  // namespace

void tanh_forward(const TanhForward& args) {
    for_dtype("tanh", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
        const T* const x = args.x.as<T>();
        T* const y = args.y.as<T>();
        const std::int64_t count = args.x.count();
#pragma omp parallel for simd schedule(static)
        for (std::int64_t n = 0; n < count; ++n) y[n] = vector_tanh(x[n]);
    });
}

void tanh_backward(const TanhBackward& args) {
    for_dtype("tanh", args.y.dtype, [&](auto zero) {
        using T = decltype(zero);
        const T *const dy = args.dy.as<T>(), *const y = args.y.as<T>();
        T* const dx = args.dx.as<T>();
        const std::int64_t count = args.y.count();
#pragma omp parallel for simd schedule(static)
        for (std::int64_t n = 0; n < count; ++n) dx[n] = dy[n] * (T(1) - y[n] * y[n]);
    });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(tanh_forward, TanhForward, x)
LOCUS_KERNEL(tanh_backward, TanhBackward, y)
