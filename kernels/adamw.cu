// AdamW on a GPU: one launch for all parameters, a thread for four neighbours, which are one 16-byte word of each tensor. A thread finds the run of
// its first parameter by binary search. The gradient's norm is read where sum_of_squares left it, so nobody waits for it.
// The sum of squares: fixed blocks of elements are summed by a block of threads each, then one block of threads adds up their sums; both in double,
// since a sum of hundreds of millions of floats needs it. Formula, shapes: adamw.h.
//
// bytes    AdamW reads 16 and writes 12 per parameter; the sum of squares reads 4
// flop     15; 2 in double
// bound    memory, 0.5 flop per byte: 0.6 ms per 100 million parameters at 4.8 TB/s, and 0.1 ms for their gradients' sum

#include "kernels/adamw.h"

#include <cmath>

#include "kernels/gpu.h"

namespace locus::LOCUS_TARGET {
namespace {

constexpr int per_thread = 4;

// One load or store where the address allows it.
struct alignas(per_thread * sizeof(float)) Four {
    float x[per_thread];
};

struct Step {
    float *parameter, *m, *v;
    const float* gradient;
    const double* squares;         // or nullptr
    const std::int32_t* run_ends;  // [runs]
    std::int64_t runs;             // 0: one run
    bool first_run_decays, aligned;
    double largest_norm;  // 0: any
    float decay, step_size, root_correction, beta1, rest1, beta2, rest2, epsilon;
    std::int64_t count;
};

// Infinity minus itself is NaN too.
__device__ bool is_finite(double x) { return x - x == 0; }

__device__ float clip_factor(const Step& s) {
    if (s.largest_norm <= 0) return 1;
    const double norm = sqrt(*s.squares);
    return norm > s.largest_norm ? static_cast<float>(s.largest_norm / norm) : 1.0F;
}

// The first run that ends behind i.
__device__ std::int64_t run_of(const Step& s, std::int64_t i) {
    std::int64_t first = 0, last = s.runs;
    while (first < last) {
        const std::int64_t middle = (first + last) / 2;
        if (s.run_ends[middle] > i)
            last = middle;
        else
            first = middle + 1;
    }
    return first;
}

// `there` of four.
__device__ Four load_four(const float* from, std::int64_t there, bool aligned) {
    if (aligned && there >= per_thread) return *reinterpret_cast<const Four*>(from);
    Four four = {};
    for (int k = 0; k < per_thread; ++k)
        if (k < there) four.x[k] = from[k];
    return four;
}
__device__ void store_four(float* to, const Four& four, std::int64_t there, bool aligned) {
    if (aligned && there >= per_thread) {
        *reinterpret_cast<Four*>(to) = four;
        return;
    }
    for (int k = 0; k < per_thread; ++k)
        if (k < there) to[k] = four.x[k];
}

__device__ void update(const Step& s, float clip, float decay, float gradient, float& m, float& v, float& parameter) {
    const float g = clip * gradient;
    m = s.beta1 * m + s.rest1 * g;
    v = s.beta2 * v + s.rest2 * g * g;
    parameter = decay * parameter - s.step_size * (m / (sqrtf(v) * s.root_correction + s.epsilon));
}

__global__ void adamw_kernel(Step s) {
    __shared__ float clip;  // for a whole block: quotients in double are slow on most cards
    if (threadIdx.x == 0) clip = clip_factor(s);
    __syncthreads();
    const std::int64_t begin = index_in_grid() * per_thread, there = s.count - begin;
    if (there <= 0 || (s.squares != nullptr && !is_finite(*s.squares))) return;
    const Four gradient = load_four(s.gradient + begin, there, s.aligned);
    Four m = load_four(s.m + begin, there, s.aligned), v = load_four(s.v + begin, there, s.aligned);
    Four parameter = load_four(s.parameter + begin, there, s.aligned);
    std::int64_t run = run_of(s, begin);
    for (int k = 0; k < per_thread; ++k) {
        while (run < s.runs && s.run_ends[run] <= begin + k) ++run;
        const bool decays = (run % 2 == 0) == s.first_run_decays;
        update(s, clip, decays ? s.decay : 1.0F, gradient.x[k], m.x[k], v.x[k], parameter.x[k]);
    }
    store_four(s.m + begin, m, there, s.aligned);
    store_four(s.v + begin, v, there, s.aligned);
    store_four(s.parameter + begin, parameter, there, s.aligned);
}

constexpr std::int64_t elements_per_block = 16384;

// sums: [blocks]
__global__ void square_sums_kernel(const float* x, std::int64_t count, bool aligned, double* sums) {
    const std::int64_t begin = blockIdx.x * elements_per_block;
    const std::int64_t end = begin + elements_per_block < count ? begin + elements_per_block : count;
    double sum = 0;
    for (std::int64_t i = begin + per_thread * threadIdx.x; i < end; i += per_thread * blockDim.x) {
        const Four four = load_four(x + i, end - i, aligned);
        for (const float one : four.x) sum += static_cast<double>(one) * static_cast<double>(one);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// One block. A total that is not finite stays (adamw.h).
__global__ void total_kernel(const double* sums, std::int64_t count, double* total) {
    double sum = 0;
    for (std::int64_t i = threadIdx.x; i < count; i += blockDim.x) sum += sums[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0 && is_finite(*total)) *total = sum;
}

bool is_aligned(const Tensor& tensor) { return reinterpret_cast<std::uintptr_t>(tensor.data) % sizeof(Four) == 0; }

}  // namespace

// Powers and quotients of the hyperparameters are taken once, here and in double, as on the processor.
void adamw(const AdamW& args) {
    const double correction1 = 1.0 - std::pow(args.beta1, static_cast<double>(args.step));
    const double correction2 = 1.0 - std::pow(args.beta2, static_cast<double>(args.step));
    const Step s = {
        .parameter = args.parameter.as<float>(),
        .m = args.m.as<float>(),
        .v = args.v.as<float>(),
        .gradient = args.gradient.as<float>(),
        .squares = args.squares ? args.squares.as<double>() : nullptr,
        .run_ends = args.run_ends ? args.run_ends.as<std::int32_t>() : nullptr,
        .runs = args.run_ends ? args.run_ends.count() : 0,
        .first_run_decays = args.first_run_decays,
        .aligned = is_aligned(args.parameter) && is_aligned(args.gradient) && is_aligned(args.m) && is_aligned(args.v),
        .largest_norm = args.clip,
        .decay = static_cast<float>(1.0 - args.learning_rate * args.weight_decay),
        .step_size = static_cast<float>(args.learning_rate / correction1),
        .root_correction = static_cast<float>(1.0 / std::sqrt(correction2)),
        .beta1 = static_cast<float>(args.beta1),
        .rest1 = static_cast<float>(1.0 - args.beta1),
        .beta2 = static_cast<float>(args.beta2),
        .rest2 = static_cast<float>(1.0 - args.beta2),
        .epsilon = static_cast<float>(args.epsilon),
        .count = args.parameter.count()};
    launch(one_thread_each("adamw", (s.count + per_thread - 1) / per_thread), adamw_kernel, s);
}

void sum_of_squares(const SumOfSquares& args) {
    const std::int64_t count = args.x.count(), blocks = blocks_for(count, elements_per_block);
    auto* const sums = static_cast<double*>(scratch(static_cast<std::size_t>(blocks) * sizeof(double)));
    launch(one_block_each("sum_of_squares", blocks), square_sums_kernel, args.x.as<float>(), count, is_aligned(args.x),
           sums);
    launch(one_block_each("sum_of_squares", 1), total_kernel, sums, blocks, args.result.as<double>());
}

}  // namespace locus::LOCUS_TARGET
