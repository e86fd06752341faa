#include "kernels/bias_network.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/checks.h"
#include "kernels/for_dtype.h"
#include "kernels/isa.h"

namespace locus::LOCUS_TARGET {
namespace {

using std::int64_t;

void check_network(Op op, const BiasNetwork& network, const Tensor& y) {
    const DType dtype = network.x.dtype;
    LOCUS_CHECK(network.x.shape.rank() == 1 && network.w2.shape.rank() == 2, op.name,
                "x is " + network.x.shape.to_string() + ", w2 " + network.w2.shape.to_string() +
                    ", expected [distances] and [heads, hidden]");
    const int64_t distances = network.x.shape[0], heads = network.w2.shape[0], hidden = network.w2.shape[1];
    check_contiguous(op, "x", network.x, {distances});
    check_contiguous(op, "w1", network.w1, {hidden});
    check_contiguous(op, "b1", network.b1, {hidden});
    check_contiguous(op, "w2", network.w2, {heads, hidden});
    check_contiguous(op, "y", y, {heads, distances});
    for (const Tensor& x : {network.w1, network.b1, network.w2, y}) check_dtype(op, "an input", x, dtype);
}

[[maybe_unused]] void check(const BiasNetworkForward& args) {
    check_network({"bias_network", args.y.device}, args.network, args.y);
}

[[maybe_unused]] void check(const BiasNetworkBackward& args) {
    const Op op = {"bias_network_backward", args.y.device};
    const BiasNetwork& gradients = args.gradients;
    check_network(op, args.network, args.y);
    check_contiguous(op, "dy", args.dy, args.y.shape);
    check_contiguous(op, "dw1", gradients.w1, args.network.w1.shape);
    check_contiguous(op, "db1", gradients.b1, args.network.b1.shape);
    check_contiguous(op, "dw2", gradients.w2, args.network.w2.shape);
    if (gradients.x) check_contiguous(op, "dx", gradients.x, args.network.x.shape);
}

template <class T>
void forward(const BiasNetworkForward& args) {
    const BiasNetwork& n = args.network;
    const int64_t distances = n.x.shape[0], heads = n.w2.shape[0], hidden = n.w2.shape[1];
    const T *const x = n.x.as<T>(), *const w1 = n.w1.as<T>(), *const b1 = n.b1.as<T>(), *const w2 = n.w2.as<T>();
    const T ceiling = static_cast<T>(n.ceiling);
#pragma omp parallel for schedule(static)
    for (int64_t h = 0; h < heads; ++h) {
        T* const y = args.y.as<T>() + h * distances;
        std::fill_n(y, distances, T{0});
        for (int64_t m = 0; m < hidden; ++m) {
            const T slope = w1[m], shift = b1[m], weight = w2[h * hidden + m];
            for (int64_t d = 0; d < distances; ++d) y[d] += weight * std::max(T{0}, slope * x[d] + shift);
        }
        if (n.ceiling == 0) continue;
        for (int64_t d = 0; d < distances; ++d) y[d] = ceiling / (T{1} + std::exp(-y[d]));
    }
}

/// dz of the header, [heads, distances].
template <class T>
std::vector<T> before_ceiling(const BiasNetworkBackward& args) {
    const T *const y = args.y.as<T>(), *const dy = args.dy.as<T>();
    std::vector<T> dz(dy, dy + args.dy.count());
    const double ceiling = args.network.ceiling;
    if (ceiling == 0) return dz;
    for (std::size_t n = 0; n < dz.size(); ++n) dz[n] *= y[n] * (T{1} - y[n] / static_cast<T>(ceiling));
    return dz;
}

/// One unit of the hidden layer: its gradients, and g[d] of the header. `value` has room for all distances.
template <class T>
void unit_backward(const BiasNetwork& n, const BiasNetwork& to, int64_t m, const std::vector<T>& dz, T* value, T* g) {
    const int64_t distances = n.x.shape[0], heads = n.w2.shape[0], hidden = n.w2.shape[1];
    const T *const x = n.x.as<T>(), *const w2 = n.w2.as<T>();
    const T slope = n.w1.as<T>()[m], shift = n.b1.as<T>()[m];
    for (int64_t d = 0; d < distances; ++d) value[d] = std::max(T{0}, slope * x[d] + shift);
    std::fill_n(g, distances, T{0});
    for (int64_t h = 0; h < heads; ++h) {
        const T* const gradient = dz.data() + h * distances;
        const T weight = w2[h * hidden + m];
        T sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t d = 0; d < distances; ++d) {
            sum += gradient[d] * value[d];
            g[d] += value[d] > T{0} ? weight * gradient[d] : T{0};
        }
        to.w2.as<T>()[h * hidden + m] += sum;
    }
    T by_slope = 0, by_shift = 0;
#pragma omp simd reduction(+ : by_slope, by_shift)
    for (int64_t d = 0; d < distances; ++d) {
        by_slope += g[d] * x[d];
        by_shift += g[d];
    }
    to.w1.as<T>()[m] += by_slope;
    to.b1.as<T>()[m] += by_shift;
}

template <class T>
void backward(const BiasNetworkBackward& args) {
    const BiasNetwork &n = args.network, &to = args.gradients;
    const int64_t distances = n.x.shape[0], hidden = n.w2.shape[1];
    const std::vector<T> dz = before_ceiling<T>(args);
    std::vector<T> g(static_cast<std::size_t>(hidden * distances)), values(g.size());
#pragma omp parallel for schedule(static)
    for (int64_t m = 0; m < hidden; ++m)
        unit_backward(n, to, m, dz, values.data() + m * distances, g.data() + m * distances);
    for (int64_t m = 0; to.x && m < hidden; ++m)
        for (int64_t d = 0; d < distances; ++d)
            to.x.as<T>()[d] += n.w1.as<T>()[m] * g[static_cast<std::size_t>(m * distances + d)];
}

}  // namespace

void bias_network_forward(const BiasNetworkForward& args) {
    for_dtype("bias_network", args.y.dtype, [&](auto zero) { forward<decltype(zero)>(args); });
}

void bias_network_backward(const BiasNetworkBackward& args) {
    for_dtype("bias_network_backward", args.y.dtype, [&](auto zero) { backward<decltype(zero)>(args); });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(bias_network_forward, BiasNetworkForward, y)
LOCUS_KERNEL(bias_network_backward, BiasNetworkBackward, y)
