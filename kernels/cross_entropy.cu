// Softmax and cross-entropy on a GPU: a block of threads for each row, which passes over it three times (largest logit, sum of exponentials, gradient);
// a row stays in the cache between them. Formula, shapes: cross_entropy.h.
//
// bytes    per logit one read and, with the gradient, one write, at best, and one read more for dbias; two exponentials, so memory bound: 12 bytes in
//          float32, 8 when the gradient is bfloat16

#include "kernels/cross_entropy.h"

#include <limits>

#include "kernels/column_sum.h"
#include "kernels/gpu.h"

namespace locus::LOCUS_TARGET {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr unsigned threads_per_row = 512;  // few rows at a time, so that they stay in the cache

// The gradient may take the place of the logits: a thread has read a logit before it writes there.
template <class T, class G>
struct Rows {
    const T* logits;
    G* gradient;  // or nullptr
    std::int64_t gradient_stride;
    const float* bias;  // or nullptr
    const std::int32_t* targets;
    double* loss;
    std::int32_t* correct;
    float scale;
    std::int64_t columns;

    __device__ float logit(std::int64_t row, std::int64_t v) const {
        return load(logits + row * columns + v) + (bias == nullptr ? 0.0F : bias[v]);
    }
};

struct Range {
    float largest;  // NaN passes by the comparisons
    bool is_finite;
};

template <class T, class G>
__device__ Range range_of(const Rows<T, G>& p, std::int64_t row) {
    float largest = -infinity;
    int not_finite = 0;
    for (std::int64_t v = threadIdx.x; v < p.columns; v += blockDim.x) {
        const float z = p.logit(row, v);
        if (z > largest) largest = z;
        if (!(fabsf(z) < infinity)) ++not_finite;
    }
    return {block_max(largest), block_sum(not_finite) == 0};
}

struct Softmax {
    float sum;  // of exp(z - largest)
    int ahead;  // how many before the target are as large as the largest
};

template <class T, class G>
__device__ Softmax softmax_of(const Rows<T, G>& p, std::int64_t row, std::int64_t target, float largest) {
    float sum = 0;
    int ahead = 0;
    for (std::int64_t v = threadIdx.x; v < p.columns; v += blockDim.x) {
        const float z = p.logit(row, v);
        sum += expf(z - largest);
        if (v < target && z == largest) ++ahead;
    }
    return {block_sum(sum), block_sum(ahead)};
}

template <class T, class G>
__device__ void cross_entropy_of_row(const Rows<T, G>& p, std::int64_t row, std::int64_t target) {
    const float target_logit = p.logit(row, target);
    const Range range = range_of(p, row);
    const Softmax softmax = softmax_of(p, row, target, range.largest);
    if (threadIdx.x == 0) {
        const double loss = log(static_cast<double>(softmax.sum)) + static_cast<double>(range.largest) -
                            static_cast<double>(target_logit);
        const bool is_first = target_logit == range.largest && softmax.ahead == 0;
        p.loss[row] = range.is_finite ? loss : std::numeric_limits<double>::quiet_NaN();
        p.correct[row] = range.is_finite && is_first ? 1 : 0;
    }
    if (p.gradient == nullptr) return;
    const float factor = range.is_finite ? p.scale / softmax.sum : std::numeric_limits<float>::quiet_NaN();
    for (std::int64_t v = threadIdx.x; v < p.columns; v += blockDim.x) {
        const float dx = factor * expf(p.logit(row, v) - range.largest);
        store(p.gradient + row * p.gradient_stride + v, v == target ? dx - p.scale : dx);
    }
}

template <class T, class G>
__global__ void cross_entropy_kernel(Rows<T, G> p, int* faults) {
    const std::int64_t row = blockIdx.x, target = p.targets[row];
    if (target >= 0 && target < p.columns) {
        cross_entropy_of_row(p, row, target);
    } else {
        raise(faults, Fault::target);
    }
}

template <class T, class G>
void cross_entropy_of(const CrossEntropy& args, const Tensor& gradient) {
    const std::int64_t rows = args.logits.shape[0], columns = args.logits.shape[1];
    const Rows<T, G> p = {.logits = args.logits.as<T>(),
                          .gradient = args.gradient ? gradient.as<G>() : nullptr,
                          .gradient_stride = gradient.strides[0],
                          .bias = args.bias ? args.bias.as<float>() : nullptr,
                          .targets = args.targets.as<std::int32_t>(),
                          .loss = args.loss.as<double>(),
                          .correct = args.correct.as<std::int32_t>(),
                          .scale = static_cast<float>(args.scale),
                          .columns = columns};
    launch(one_block_each("cross_entropy", rows, threads_per_row), cross_entropy_kernel<T, G>, p, faults());
    if (args.dbias) column_sum({.x = gradient, .sum = args.dbias});
}

}  // namespace

void cross_entropy(const CrossEntropy& args) {
    const Tensor gradient = args.dlogits ? args.dlogits : args.logits;
    for_storage("cross_entropy", args.logits.dtype, [&](auto zero) {
        for_storage("cross_entropy", gradient.dtype, [&](auto zero_of_gradient) {
            cross_entropy_of<decltype(zero), decltype(zero_of_gradient)>(args, gradient);
        });
    });
}

}  // namespace locus::LOCUS_TARGET
