// FIRE's distances on a GPU: a thread for each distance, and one block of threads for the two sums over all of them. In float64, as on the processor.
// Formula, shapes: fire.h.
//
// bytes    4 per distance, of which there are a few thousand
// flop     some 50 in float64, a logarithm among them
// bound    latency: the time is that of a launch

#include "kernels/fire.h"

#include "kernels/gpu.h"

namespace locus::LOCUS_TARGET {
namespace {

/// psi and the normaliser of the header.
struct Scale {
    double c, threshold, longest, normaliser;

    __device__ double psi(double s) const { return log1p(fabs(c) * s); }
    __device__ double psi_by_c(double s) const { return (c < 0 ? -s : s) / (1 + fabs(c) * s); }
};

struct Distances {
    const float *c, *t;
    double slope, threshold;
    bool is_signed;
    std::int64_t reach;

    __device__ Scale scale() const {
        Scale s = {};
        s.c = slope * c[0];
        s.threshold = fabs(threshold * t[0]);
        s.longest = fmax(static_cast<double>(reach), s.threshold);
        s.normaliser = s.psi(s.longest) + 1e-6;
        return s;
    }
    __device__ double side(std::int64_t r) const { return is_signed && r > 0 ? -1 : 1; }
};

Distances distances_of(const FireDistances& args) {
    return {.c = args.c.as<float>(),
            .t = args.t.as<float>(),
            .slope = args.slope,
            .threshold = args.threshold,
            .is_signed = args.is_signed,
            .reach = args.x.shape[0] / 2};
}

__global__ void fire_distances_forward_kernel(Distances f, float* x) {
    const std::int64_t i = index_in_grid(), r = i - f.reach;
    if (r > f.reach) return;
    const Scale scale = f.scale();
    x[i] = static_cast<float>(f.side(r) * scale.psi(fabs(static_cast<double>(r))) / scale.normaliser);
}

// One block.
__global__ void fire_distances_backward_kernel(Distances f, const float* gradient, float* dc, float* dt) {
    const Scale scale = f.scale();
    const double n = scale.normaliser, by_longest = fabs(scale.c) / (1 + fabs(scale.c) * scale.longest);
    double by_c = 0, by_normaliser = 0;
    for (std::int64_t i = threadIdx.x; i <= 2 * f.reach; i += blockDim.x) {
        const std::int64_t r = i - f.reach;
        const double s = fabs(static_cast<double>(r)), dx = f.side(r) * gradient[i];
        by_c += dx * (scale.psi_by_c(s) * n - scale.psi(s) * scale.psi_by_c(scale.longest)) / (n * n);
        by_normaliser -= dx * scale.psi(s) / (n * n);
    }
    by_c = block_sum(by_c);
    by_normaliser = block_sum(by_normaliser);
    if (threadIdx.x != 0) return;
    dc[0] += static_cast<float>(f.slope * by_c);
    const double t_sign = f.threshold * f.t[0] < 0 ? -1 : 1;
    if (scale.longest == scale.threshold)
        dt[0] += static_cast<float>(f.threshold * t_sign * by_normaliser * by_longest);
}

}  // namespace

void fire_distances_forward(const FireDistances& args) {
    launch(one_thread_each("fire_distances", args.x.count()), fire_distances_forward_kernel, distances_of(args),
           args.x.as<float>());
}

void fire_distances_backward(const FireDistances& args) {
    LOCUS_CHECK(args.dc && args.dt, "fire_distances_backward", "dC or dT is absent");
    launch(one_block_each("fire_distances_backward", 1), fire_distances_backward_kernel, distances_of(args),
           args.x.as<float>(), args.dc.as<float>(), args.dt.as<float>());
}

}  // namespace locus::LOCUS_TARGET
