#include "docs/learn/examples/softcap/softcap.h"

#include <cmath>

#include "kernels/for_dtype.h"
#include "kernels/isa.h"

namespace locus::LOCUS_TARGET {
namespace {

void check(const char* op, const Tensor& x, const Tensor& y, double bound) {
    LOCUS_CHECK(x.shape == y.shape && x.dtype == y.dtype && x.is_contiguous() && y.is_contiguous(), op,
                "from " + x.shape.to_string() + " to " + y.shape.to_string() + "; both must be contiguous and alike");
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
    check("softcap_forward", args.x, args.y, args.bound);
    for_dtype("softcap_forward", args.x.dtype, [&](auto zero) { forward<decltype(zero)>(args); });
}

void softcap_backward(const SoftcapBackward& args) {
    check("softcap_backward", args.dy, args.y, args.bound);
    check("softcap_backward", args.dy, args.dx, args.bound);
    for_dtype("softcap_backward", args.y.dtype, [&](auto zero) { backward<decltype(zero)>(args); });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(softcap_forward, SoftcapForward)
LOCUS_KERNEL(softcap_backward, SoftcapBackward)
