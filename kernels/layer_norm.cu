// Layer normalisation on a GPU: a block of threads for each row, which is read from memory once per pass and waits in shared memory for its mean and
// variance; a thread reads there what it has written itself. Then the gradients of gamma and beta by column sums. Formula, shapes and source: layer_norm.h.
//
// bytes    forward 4 numbers per element (x, residual, sum, y), backward 4 (dy, sum, dx, dresidual) and 2 more for the column sums; a dozen flop per
//          element, so memory bound: 16 bytes per element in float32, 8 in bfloat16, at best

#include "kernels/layer_norm.h"

#include "kernels/gpu_column_sum.h"
#include "kernels/gpu_dropout.h"
#include "kernels/gpu_vector.h"

namespace locus::LOCUS_TARGET {
namespace {

template <class T>
struct Forward {
    const T *x, *residual;
    const float *gamma, *beta;
    float epsilon;
    DropoutOfRows dropout;
    T *sum, *y;
    float *mean, *rstd;
    std::int64_t columns;
};

// s = drop(x) + residual, as the backward pass will read it; the thread's part of its sum over the row.
template <int N, class T>
__device__ float sum_row(const Forward<T>& f, std::int64_t row, float* waiting) {
    float total = 0;
    for (std::int64_t c = N * threadIdx.x; c < f.columns; c += N * blockDim.x) {
        const std::int64_t at = row * f.columns + c;
        Several<N> s = load_several<N>(f.x + at);
        f.dropout.apply(row, c, s);
        if (f.residual != nullptr) {
            const Several<N> r = load_several<N>(f.residual + at);
            for (int n = 0; n < N; ++n) s.of[n] += r.of[n];
        }
        for (float& one : s.of) one = as_stored<T>(one);
        store_several(f.sum + at, s);
        store_several(waiting + c, s);
        for (const float one : s.of) total += one;
    }
    return total;
}

template <int N>
__device__ float squares_about(float mean, const float* waiting, std::int64_t columns) {
    float squares = 0;
    for (std::int64_t c = N * threadIdx.x; c < columns; c += N * blockDim.x) {
        const Several<N> s = load_several<N>(waiting + c);
        for (const float one : s.of) squares += (one - mean) * (one - mean);
    }
    return squares;
}

template <int N, class T>
__global__ void layer_norm_forward_kernel(Forward<T> f) {
    const std::int64_t row = blockIdx.x;
    auto* const waiting = shared_memory<float>();  // [columns]
    const float mean = block_sum(sum_row<N>(f, row, waiting)) / static_cast<float>(f.columns);
    const float variance = block_sum(squares_about<N>(mean, waiting, f.columns)) / static_cast<float>(f.columns);
    const float rstd = 1.0F / sqrtf(variance + f.epsilon);
    for (std::int64_t c = N * threadIdx.x; c < f.columns; c += N * blockDim.x) {
        Several<N> v = load_several<N>(waiting + c);
        const Several<N> gamma = load_several<N>(f.gamma + c), beta = load_several<N>(f.beta + c);
        for (int n = 0; n < N; ++n) v.of[n] = gamma.of[n] * ((v.of[n] - mean) * rstd) + beta.of[n];
        store_several(f.y + row * f.columns + c, v);
    }
    if (threadIdx.x == 0) {
        f.mean[row] = mean;
        f.rstd[row] = rstd;
    }
}

template <class T>
struct Backward {
    const T *dy, *sum;
    const float *gamma, *mean, *rstd;
    DropoutOfRows dropout;
    T *dx, *dresidual;
    bool accumulate_dx, accumulate_dresidual;
    std::int64_t columns;
};

struct GradientSums {
    float of_g, of_product;  // g = gamma dy, g xhat
};

template <int N, class T>
__device__ GradientSums sum_gradients(const Backward<T>& b, std::int64_t row, float* g_waiting, float* xhat_waiting) {
    const float mean = b.mean[row], rstd = b.rstd[row];
    GradientSums sums = {0, 0};
    for (std::int64_t c = N * threadIdx.x; c < b.columns; c += N * blockDim.x) {
        Several<N> g = load_several<N>(b.dy + row * b.columns + c), xhat = load_several<N>(b.sum + row * b.columns + c);
        const Several<N> gamma = load_several<N>(b.gamma + c);
        for (int n = 0; n < N; ++n) {
            g.of[n] *= gamma.of[n];
            xhat.of[n] = (xhat.of[n] - mean) * rstd;
            sums.of_g += g.of[n];
            sums.of_product += g.of[n] * xhat.of[n];
        }
        store_several(g_waiting + c, g);
        store_several(xhat_waiting + c, xhat);
    }
    return sums;
}

template <int N, class T>
__device__ void add_or_store(T* to, Several<N> x, bool accumulate) {
    if (accumulate) {
        const Several<N> before = load_several<N>(to);
        for (int n = 0; n < N; ++n) x.of[n] += before.of[n];
    }
    store_several(to, x);
}

template <int N, class T>
__global__ void layer_norm_backward_kernel(Backward<T> b) {
    const std::int64_t row = blockIdx.x;
    auto* const g_waiting = shared_memory<float>();  // [columns]
    auto* const xhat_waiting = g_waiting + b.columns;
    const GradientSums sums = sum_gradients<N>(b, row, g_waiting, xhat_waiting);
    const float mean_g = block_sum(sums.of_g) / static_cast<float>(b.columns);
    const float mean_product = block_sum(sums.of_product) / static_cast<float>(b.columns);
    const float rstd = b.rstd[row];
    for (std::int64_t c = N * threadIdx.x; c < b.columns; c += N * blockDim.x) {
        Several<N> ds = load_several<N>(g_waiting + c);
        const Several<N> xhat = load_several<N>(xhat_waiting + c);
        for (int n = 0; n < N; ++n) ds.of[n] = rstd * (ds.of[n] - mean_g - xhat.of[n] * mean_product);
        // The residual first: dx may be the same memory.
        if (b.dresidual != nullptr) add_or_store(b.dresidual + row * b.columns + c, ds, b.accumulate_dresidual);
        b.dropout.apply(row, c, ds);
        add_or_store(b.dx + row * b.columns + c, ds, b.accumulate_dx);
    }
}

// dy xhat and dy: what dgamma and dbeta are sums of.
template <class T, int W>
struct GradientTerm {
    const T *dy, *sum;
    const float *mean, *rstd;
    std::int64_t columns;

    __device__ Summands<2, W> operator()(std::int64_t row, std::int64_t column) const {
        const Several<W> g = load_several<W>(dy + row * columns + column);
        Several<W> product = load_several<W>(sum + row * columns + column);
        for (int n = 0; n < W; ++n) product.of[n] = g.of[n] * ((product.of[n] - mean[row]) * rstd[row]);
        return {{product, g}};
    }
};

std::size_t bytes_of_row(std::int64_t columns) { return static_cast<std::size_t>(columns) * sizeof(float); }

template <class T>
void forward(const LayerNormForward& args) {
    const std::int64_t rows = args.x.shape[0], columns = args.x.shape[1];
    const Forward<T> f = {.x = args.x.as<T>(),
                          .residual = args.residual ? args.residual.as<T>() : nullptr,
                          .gamma = args.gamma.as<float>(),
                          .beta = args.beta.as<float>(),
                          .epsilon = static_cast<float>(args.epsilon),
                          .dropout = dropout_of_rows("layer_norm", args.dropout, args.rows),
                          .sum = args.sum.as<T>(),
                          .y = args.y.as<T>(),
                          .mean = args.mean.as<float>(),
                          .rstd = args.rstd.as<float>(),
                          .columns = columns};
    for_width({args.x, args.residual, args.gamma, args.beta, args.sum, args.y}, [&](auto width) {
        launch(one_block_each("layer_norm", rows, threads_for_row<width>(columns), bytes_of_row(columns)),
               layer_norm_forward_kernel<width, T>, f);
    });
}

template <class T>
void backward(const LayerNormBackward& args) {
    const std::int64_t rows = args.dy.shape[0], columns = args.dy.shape[1];
    // Before dx is written, which may take the place of dy.
    for_width({args.dy, args.sum}, [&](auto width) {
        const GradientTerm<T, width> term = {args.dy.as<T>(), args.sum.as<T>(), args.mean.as<float>(),
                                             args.rstd.as<float>(), columns};
        add_column_sums<2, width>("layer_norm", term, rows, columns,
                                  {{args.dgamma.as<float>(), args.dbeta.as<float>()}});
    });
    const Backward<T> b = {.dy = args.dy.as<T>(),
                           .sum = args.sum.as<T>(),
                           .gamma = args.gamma.as<float>(),
                           .mean = args.mean.as<float>(),
                           .rstd = args.rstd.as<float>(),
                           .dropout = dropout_of_rows("layer_norm", args.dropout, args.rows),
                           .dx = args.dx.as<T>(),
                           .dresidual = args.dresidual ? args.dresidual.as<T>() : nullptr,
                           .accumulate_dx = args.accumulate_dx,
                           .accumulate_dresidual = args.accumulate_dresidual,
                           .columns = columns};
    for_width({args.dy, args.sum, args.gamma, args.dx, args.dresidual}, [&](auto width) {
        launch(one_block_each("layer_norm", rows, threads_for_row<width>(columns), 2 * bytes_of_row(columns)),
               layer_norm_backward_kernel<width, T>, b);
    });
}

}  // namespace

void layer_norm_forward(const LayerNormForward& args) {
    for_storage("layer_norm", args.x.dtype, [&](auto zero) { forward<decltype(zero)>(args); });
}

void layer_norm_backward(const LayerNormBackward& args) {
    for_storage("layer_norm", args.dy.dtype, [&](auto zero) { backward<decltype(zero)>(args); });
}

}  // namespace locus::LOCUS_TARGET
