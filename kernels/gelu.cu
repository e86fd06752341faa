// Bias and GELU on a GPU. Forward: a thread for each eight elements. Backward: dbias is the column sums of dz (gpu_column_sum.h), and the thread that
// computes a dz for them also writes it, after it has read its dy: dx may be dy. Formula, shapes: gelu.h. A kernel of its own and no epilogue of the product:
// cuBLASLt's GELU is the tanh form, BERT's is erf's.
//
// bytes    forward one read and one write per element, backward two reads and one write: 8 and 12 bytes in float32, 4 and 6 in bfloat16
// flop     some 30 forward, 35 backward
// bound    memory in float32, 3 to 4 flop per byte. In bfloat16 7, of which each is an instruction of its own and not half of a product and sum: then both
//          take about as long

#include "kernels/gelu.h"

#include "kernels/gpu_column_sum.h"
#include "kernels/gpu_vector.h"

namespace locus::LOCUS_TARGET {
namespace {

struct Normal {
    float cumulative, density;
};

// Phi(z) and phi(z) by one exponential and one quotient, as vector_math.h has them for the processor: erfcf takes twice as long. The left tail is not 1
// minus something, which would cancel to nothing.
__device__ Normal normal_of(float z) {
    constexpr float t_to_the[9] = {0.135618094F, 0.136156178F, 0.114863392F, 0.116742958F,  -0.0481400368F,
                                   0.207372646F, -0.27786397F, 0.141876994F, -0.0266262441F};
    const float u = fabsf(z), e = exp2f(-0.721347520F * u * u);  // exp(-u^2 / 2)
    const float t = __fdividef(1.0F, 1.0F + 0.34F * u);
    float p = t_to_the[8];
    for (int n = 7; n >= 0; --n) p = p * t + t_to_the[n];
    const float tail = e * (t * p);
    return {z < 0 ? tail : 1.0F - tail, 0.398942280F * e};
}

template <int N, class T>
__global__ void gelu_forward_kernel(const T* x, const float* bias, T* y, std::int64_t rows, std::int64_t columns) {
    const Place at = place_of<N>(columns);
    if (at.row >= rows) return;
    Several<N> v = load_several<N>(x + at.row * columns + at.column);
    const Several<N> b = load_several<N>(bias + at.column);
    for (int n = 0; n < N; ++n) {
        const float z = v.of[n] + b.of[n];
        v.of[n] = z * normal_of(z).cumulative;
    }
    store_several(y + at.row * columns + at.column, v);
}

// dz, which is what dbias is the sum of; it becomes dx on the way.
template <class T, int W>
struct GradientTerm {
    const T *dy, *x;
    const float* bias;
    T* dx;
    std::int64_t columns;

    __device__ Summands<1, W> operator()(std::int64_t row, std::int64_t column) const {
        const std::int64_t at = row * columns + column;
        const Several<W> v = load_several<W>(x + at), b = load_several<W>(bias + column);
        Several<W> dz = load_several<W>(dy + at);
        for (int n = 0; n < W; ++n) {
            const float z = v.of[n] + b.of[n];
            const Normal normal = normal_of(z);
            dz.of[n] *= normal.cumulative + z * normal.density;
        }
        store_several(dx + at, dz);
        return {{dz}};
    }
};

}  // namespace

void gelu_forward(const GeluForward& args) {
    const std::int64_t rows = args.x.shape[0], columns = args.x.shape[1];
    for_storage("gelu", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
        for_width({args.x, args.bias, args.y}, [&](auto width) {
            launch(one_thread_for<width>("gelu", rows, columns), gelu_forward_kernel<width, T>, args.x.as<T>(),
                   args.bias.as<float>(), args.y.as<T>(), rows, columns);
        });
    });
}

void gelu_backward(const GeluBackward& args) {
    const std::int64_t rows = args.x.shape[0], columns = args.x.shape[1];
    for_storage("gelu", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
        for_width({args.dy, args.x, args.bias, args.dx}, [&](auto width) {
            const GradientTerm<T, width> term = {args.dy.as<T>(), args.x.as<T>(), args.bias.as<float>(),
                                                 args.dx.as<T>(), columns};
            add_column_sums<1, width>("gelu", term, rows, columns, {{args.dbias.as<float>()}});
        });
    });
}

}  // namespace locus::LOCUS_TARGET
