// Bias and GELU on a GPU. Forward: a block of threads for each row. Backward: dbias is the column sums of dz (gpu_column_sum.h), and the thread that
// computes a dz for them also writes it, after it has read its dy: dx may be dy. Formula: gelu.h.
//
// bytes    forward one read and one write per element, backward two reads and one write; some 40 flop for each: memory bound on a GPU

#include "kernels/gelu.h"

#include "kernels/gpu_column_sum.h"

namespace locus::LOCUS_TARGET {
namespace {

// Phi(z). By erfc, because 1 + erf(z / sqrt 2) would cancel to nothing in the left tail.
__device__ float cumulative(float z) { return 0.5F * erfcf(-0.707106781F * z); }
__device__ float density(float z) { return 0.398942280F * expf(-0.5F * z * z); }

template <class T>
__global__ void gelu_forward_kernel(const T* x, const float* bias, T* y, std::int64_t columns) {
    const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * columns;
    for (std::int64_t c = threadIdx.x; c < columns; c += blockDim.x) {
        const float z = load(x + at + c) + bias[c];
        store(y + at + c, z * cumulative(z));
    }
}

// dz, which is what dbias is the sum of; it becomes dx on the way.
template <class T>
struct GradientTerm {
    const T *dy, *x;
    const float* bias;
    T* dx;
    std::int64_t columns;

    __device__ Summands<1> operator()(std::int64_t row, std::int64_t column) const {
        const std::int64_t at = row * columns + column;
        const float z = load(x + at) + bias[column];
        const float dz = load(dy + at) * (cumulative(z) + z * density(z));
        store(dx + at, dz);
        return {{dz}};
    }
};

}  // namespace

void gelu_forward(const GeluForward& args) {
    for_storage("gelu", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
        launch(one_block_each("gelu", args.x.shape[0]), gelu_forward_kernel<T>, args.x.as<T>(), args.bias.as<float>(),
               args.y.as<T>(), args.x.shape[1]);
    });
}

void gelu_backward(const GeluBackward& args) {
    const std::int64_t rows = args.x.shape[0], columns = args.x.shape[1];
    for_storage("gelu", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
        const GradientTerm<T> term = {args.dy.as<T>(), args.x.as<T>(), args.bias.as<float>(), args.dx.as<T>(), columns};
        add_column_sums<1>("gelu", term, rows, columns, {{args.dbias.as<float>()}});
    });
}

}  // namespace locus::LOCUS_TARGET
