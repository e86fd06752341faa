// The bias network on a GPU: a thread for each number of y, a block for each of dw2 and for each hidden unit's dw1 and db1. The hidden layer and dz are
// computed anew wherever they are needed: they are a product and a sum each. Formula, shapes: bias_network.h.
//
// bytes    a handful of vectors that stay in the cache
// flop     5 M D H forward, some 20 M D H backward: for D = 1,023 distances, H = 12 heads and M = 32 units 2 million and 8 million
// bound    latency: these are microseconds, a thousandth of a layer

#include "kernels/bias_network.h"

#include "kernels/gpu_column_sum.h"

namespace locus::LOCUS_TARGET {
namespace {

struct Network {
    const float *x, *w1, *b1, *w2;
    float ceiling;
    std::int64_t distances, heads, hidden;

    __device__ float hidden_unit(std::int64_t m, std::int64_t d) const { return fmaxf(0.0F, w1[m] * x[d] + b1[m]); }
};

Network network_of(const BiasNetwork& n) {
    return {.x = n.x.as<float>(),
            .w1 = n.w1.as<float>(),
            .b1 = n.b1.as<float>(),
            .w2 = n.w2.as<float>(),
            .ceiling = static_cast<float>(n.ceiling),
            .distances = n.x.shape[0],
            .heads = n.w2.shape[0],
            .hidden = n.w2.shape[1]};
}

__global__ void bias_network_forward_kernel(Network n, float* y) {
    const std::int64_t d = index_in_grid(), h = blockIdx.y;
    if (d >= n.distances) return;
    float z = 0;
    for (std::int64_t m = 0; m < n.hidden; ++m) z += n.w2[h * n.hidden + m] * n.hidden_unit(m, d);
    y[h * n.distances + d] = n.ceiling == 0 ? z : n.ceiling / (1.0F + expf(-z));
}

struct Backward {
    Network n;
    const float *y, *dy;

    __device__ float dz(std::int64_t h, std::int64_t d) const {
        const std::int64_t at = h * n.distances + d;
        return n.ceiling == 0 ? dy[at] : dy[at] * y[at] * (1.0F - y[at] / n.ceiling);
    }
    // g[m, d] of the header
    __device__ float g(std::int64_t m, std::int64_t d) const {
        if (!(n.hidden_unit(m, d) > 0)) return 0;
        float sum = 0;
        for (std::int64_t h = 0; h < n.heads; ++h) sum += n.w2[h * n.hidden + m] * dz(h, d);
        return sum;
    }
};

__global__ void dw2_kernel(Backward b, float* dw2) {
    const std::int64_t m = blockIdx.x, h = blockIdx.y;
    float sum = 0;
    for (std::int64_t d = threadIdx.x; d < b.n.distances; d += blockDim.x) sum += b.dz(h, d) * b.n.hidden_unit(m, d);
    sum = block_sum(sum);
    if (threadIdx.x == 0) dw2[h * b.n.hidden + m] += sum;
}

__global__ void dw1_db1_kernel(Backward b, float* dw1, float* db1) {
    const std::int64_t m = blockIdx.x;
    float by_slope = 0, by_shift = 0;
    for (std::int64_t d = threadIdx.x; d < b.n.distances; d += blockDim.x) {
        const float g = b.g(m, d);
        by_slope += g * b.n.x[d];
        by_shift += g;
    }
    by_slope = block_sum(by_slope);
    by_shift = block_sum(by_shift);
    if (threadIdx.x == 0) {
        dw1[m] += by_slope;
        db1[m] += by_shift;
    }
}

// g w1, whose sums over the hidden units are dx.
struct DistanceTerm {
    Backward b;
    __device__ Summands<1> operator()(std::int64_t m, std::int64_t d) const { return {{b.g(m, d) * b.n.w1[m]}}; }
};

}  // namespace

void bias_network_forward(const BiasNetworkForward& args) {
    const Network n = network_of(args.network);
    const Launch how = {"bias_network",
                        {blocks_for(n.distances, threads_per_block), static_cast<unsigned>(n.heads), 1},
                        {threads_per_block, 1, 1}};
    launch(how, bias_network_forward_kernel, n, args.y.as<float>());
}

void bias_network_backward(const BiasNetworkBackward& args) {
    const BiasNetwork& to = args.gradients;
    const Backward b = {network_of(args.network), args.y.as<float>(), args.dy.as<float>()};
    const Launch block_per_weight = {"bias_network_backward",
                                     {static_cast<unsigned>(b.n.hidden), static_cast<unsigned>(b.n.heads), 1},
                                     {threads_per_block, 1, 1}};
    launch(block_per_weight, dw2_kernel, b, to.w2.as<float>());
    launch(one_block_each("bias_network_backward", b.n.hidden), dw1_db1_kernel, b, to.w1.as<float>(),
           to.b1.as<float>());
    if (!to.x) return;
    add_column_sums<1>("bias_network_backward", DistanceTerm{b}, b.n.hidden, b.n.distances, {{to.x.as<float>()}});
}

}  // namespace locus::LOCUS_TARGET
