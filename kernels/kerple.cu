// KERPLE's bias on a GPU: a thread for each distance of each head, and a block of threads for the sums over the distances that share an A and a P. In
// float64, as on the processor. Formula, shapes: kerple.h.
//
// bytes    4 per distance and head, of which there are some ten thousand
// flop     some 100 in float64, logarithms and powers
// bound    latency: the time is that of a launch

#include "kernels/kerple.h"

#include "kernels/gpu.h"

namespace locus::LOCUS_TARGET {
namespace {

__device__ double sigmoid(double x) { return 1 / (1 + exp(-x)); }
__device__ double softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }

/// a and p of one head on one side; distances are not 0.
struct Curve {
    double a, p;
    bool power;

    __device__ double value(double distance) const { return power ? -a * pow(distance, p) : -p * log1p(a * distance); }
    __device__ double by_a(double distance) const {
        return power ? -pow(distance, p) : -p * distance / (1 + a * distance);
    }
    __device__ double by_p(double distance) const {
        return power ? -a * pow(distance, p) * log(distance) : -log1p(a * distance);
    }
};

struct Learned {
    const float *a, *p;  // A, P: [sides, heads]
    bool power;
    std::int64_t sides, heads, reach;

    __device__ std::int64_t distances() const { return 2 * reach + 1; }
    __device__ std::int64_t side_of(std::int64_t r) const { return sides == 2 && r < 0 ? 1 : 0; }
    __device__ Curve curve(std::int64_t at) const {
        return {softplus(a[at]), power ? 2 * sigmoid(p[at]) : softplus(p[at]), power};
    }
};

Learned learned_of(const Kerple& args) {
    return {.a = args.a.as<float>(),
            .p = args.p.as<float>(),
            .power = args.power,
            .sides = args.a.shape[0],
            .heads = args.a.shape[1],
            .reach = args.bias.shape[1] / 2};
}

__global__ void kerple_forward_kernel(Learned k, float* bias) {
    const std::int64_t i = index_in_grid(), r = i - k.reach, head = blockIdx.y;
    if (r > k.reach) return;
    const Curve curve = k.curve(k.side_of(r) * k.heads + head);
    bias[head * k.distances() + i] = r == 0 ? 0.0F : static_cast<float>(curve.value(fabs(static_cast<double>(r))));
}

// A block for each A and P.
__global__ void kerple_backward_kernel(Learned k, const float* dbias, float* da, float* dp) {
    const std::int64_t head = blockIdx.x, side = blockIdx.y, at = side * k.heads + head;
    const Curve curve = k.curve(at);
    double by_a = 0, by_p = 0;
    for (std::int64_t i = threadIdx.x; i < k.distances(); i += blockDim.x) {
        const std::int64_t r = i - k.reach;
        if (r == 0 || k.side_of(r) != side) continue;
        const double d = dbias[head * k.distances() + i], distance = fabs(static_cast<double>(r));
        by_a += d * curve.by_a(distance);
        by_p += d * curve.by_p(distance);
    }
    by_a = block_sum(by_a);
    by_p = block_sum(by_p);
    if (threadIdx.x != 0) return;
    const double a_slope = sigmoid(k.a[at]);
    const double p_slope = k.power ? 2 * sigmoid(k.p[at]) * sigmoid(-k.p[at]) : sigmoid(k.p[at]);
    da[at] += static_cast<float>(by_a * a_slope);
    dp[at] += static_cast<float>(by_p * p_slope);
}

}  // namespace

void kerple_forward(const Kerple& args) {
    const Learned k = learned_of(args);
    const Launch how = {"kerple",
                        {blocks_for(args.bias.shape[1], threads_per_block), static_cast<unsigned>(k.heads), 1},
                        {threads_per_block, 1, 1}};
    launch(how, kerple_forward_kernel, k, args.bias.as<float>());
}

void kerple_backward(const Kerple& args) {
    LOCUS_CHECK(args.da && args.dp, "kerple_backward", "dA or dP is absent");
    const Learned k = learned_of(args);
    const Launch block_per_curve = {"kerple_backward",
                                    {static_cast<unsigned>(k.heads), static_cast<unsigned>(k.sides), 1},
                                    {threads_per_block, 1, 1}};
    launch(block_per_curve, kerple_backward_kernel, k, args.bias.as<float>(), args.da.as<float>(), args.dp.as<float>());
}

}  // namespace locus::LOCUS_TARGET
