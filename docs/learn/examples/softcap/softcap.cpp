#include "docs/learn/examples/softcap/softcap.h"

#include <cmath>

#include "kernels/checks.h"
#include "kernels/for_dtype.h"
#include "kernels/isa.h"

namespace locus::LOCUS_TARGET {
namespace {

void check(const char* op, const char* name, const Tensor& tensor, const Tensor& like, double bound) {
    check_contiguous(op, name, tensor, like.shape);
    check_dtype(op, name, tensor, like.dtype);
    LOCUS_CHECK(bound > 0 && std::isfinite(bound), op, "the bound is " + std::to_string(bound) + ", not above 0");
}

template <class T>
void forward(const SoftcapForward& args) {
    const T* const x = args.x.as<T>();
    T* const y = args.y.as<T>();
    const T bound = static_cast<T>(args.bound);
    const std::int64_t count = args.x.count();
#pragma omp parallel for
    for (std::int64_t n = 0; n < count; ++n) y[n] = bound * std::tanh(x[n] / bound);
}

template <class T>
void backward(const SoftcapBackward& args) {
    const T* const dy = args.dy.as<T>();
    const T* const y = args.y.as<T>();
    T* const dx = args.dx.as<T>();
    const T bound = static_cast<T>(args.bound);
    const std::int64_t count = args.y.count();
#pragma omp parallel for
    for (std::int64_t n = 0; n < count; ++n) {
        const T tanh = y[n] / bound;
        const T gradient = dy[n] * (1 - tanh * tanh);
        dx[n] = args.accumulate ? dx[n] + gradient : gradient;
    }
}

}  // namespace

void softcap_forward(const SoftcapForward& args) {
    check("softcap_forward", "x", args.x, args.x, args.bound);
    check("softcap_forward", "y", args.y, args.x, args.bound);
    for_dtype("softcap_forward", args.x.dtype, [&](auto zero) { forward<decltype(zero)>(args); });
}

void softcap_backward(const SoftcapBackward& args) {
    check("softcap_backward", "y", args.y, args.y, args.bound);
    check("softcap_backward", "dy", args.dy, args.y, args.bound);
    check("softcap_backward", "dx", args.dx, args.y, args.bound);
    for_dtype("softcap_backward", args.y.dtype, [&](auto zero) { backward<decltype(zero)>(args); });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_CPU_KERNEL(softcap_forward, SoftcapForward)
LOCUS_CPU_KERNEL(softcap_backward, SoftcapBackward)
