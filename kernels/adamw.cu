// AdamW on a GPU: a thread for each parameter. The sum of squares: fixed blocks of elements are summed by a block of threads each, then one block of
// threads adds up their sums; both in double, since a sum of hundreds of millions of floats needs it.
//
// bytes    AdamW reads 16 and writes 12 per parameter, about 15 flop; the sum of squares reads 4, 2 flop: memory bound both

#include "kernels/adamw.h"

#include <cmath>

#include "kernels/device.h"
#include "kernels/gpu.h"

namespace locus::LOCUS_TARGET {
namespace {

struct Step {
    float *parameter, *m, *v;
    const float* gradient;
    float decay, step_size, root_correction, beta1, rest1, beta2, rest2, epsilon, clip;
    std::int64_t count;
};

__global__ void adamw_kernel(Step s) {
    const std::int64_t i = index_in_grid();
    if (i >= s.count) return;
    const float g = s.clip * s.gradient[i];
    const float m = s.beta1 * s.m[i] + s.rest1 * g;
    const float v = s.beta2 * s.v[i] + s.rest2 * g * g;
    s.m[i] = m;
    s.v[i] = v;
    s.parameter[i] = s.decay * s.parameter[i] - s.step_size * (m / (sqrtf(v) * s.root_correction + s.epsilon));
}

constexpr std::int64_t elements_per_block = 16384;

// sums: [blocks]
__global__ void square_sums_kernel(const float* x, std::int64_t count, double* sums) {
    const std::int64_t begin = blockIdx.x * elements_per_block;
    const std::int64_t end = begin + elements_per_block < count ? begin + elements_per_block : count;
    double sum = 0;
    for (std::int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
        const double value = static_cast<double>(x[i]);
        sum += value * value;
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// One block.
__global__ void total_kernel(const double* sums, std::int64_t count, double* total) {
    double sum = 0;
    for (std::int64_t i = threadIdx.x; i < count; i += blockDim.x) sum += sums[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) *total = sum;
}

}  // namespace

// Powers and quotients of the hyperparameters are taken once, here and in double, as on the processor.
void adamw(const AdamW& args) {
    const double correction1 = 1.0 - std::pow(args.beta1, static_cast<double>(args.step));
    const double correction2 = 1.0 - std::pow(args.beta2, static_cast<double>(args.step));
    const Step s = {.parameter = args.parameter.as<float>(),
                    .m = args.m.as<float>(),
                    .v = args.v.as<float>(),
                    .gradient = args.gradient.as<float>(),
                    .decay = static_cast<float>(1.0 - args.learning_rate * args.weight_decay),
                    .step_size = static_cast<float>(args.learning_rate / correction1),
                    .root_correction = static_cast<float>(1.0 / std::sqrt(correction2)),
                    .beta1 = static_cast<float>(args.beta1),
                    .rest1 = static_cast<float>(1.0 - args.beta1),
                    .beta2 = static_cast<float>(args.beta2),
                    .rest2 = static_cast<float>(1.0 - args.beta2),
                    .epsilon = static_cast<float>(args.epsilon),
                    .clip = static_cast<float>(args.clip),
                    .count = args.parameter.count()};
    launch(one_thread_each("adamw", s.count), adamw_kernel, s);
}

void sum_of_squares(const SumOfSquares& args) {
    const std::int64_t count = args.x.count(), blocks = blocks_for(count, elements_per_block);
    auto* const sums = static_cast<double*>(scratch(static_cast<std::size_t>(blocks + 1) * sizeof(double)));
    double* const total = sums + blocks;
    launch(one_block_each("sum_of_squares", blocks), square_sums_kernel, args.x.as<float>(), count, sums);
    launch(one_block_each("sum_of_squares", 1), total_kernel, sums, blocks, total);
    copy(Tensor(total, {1}, DType::float64, this_device), Tensor(args.result, {1}, DType::float64));
}

}  // namespace locus::LOCUS_TARGET
