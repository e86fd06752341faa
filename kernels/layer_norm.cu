// Layer normalisation on a GPU: a block of threads for each row, which is read once per pass and stays in the cache between them; then the gradients
// of gamma and beta by column sums. Formula, shapes and source: layer_norm.h.
//
// bytes    forward 4 numbers per element (x, residual, sum, y), backward 4 (dy, sum, dx, dresidual) and 2 more for the column sums; a dozen flop per
//          element, so memory bound: 16 bytes per element in float32, 8 in bfloat16, at best

#include "kernels/layer_norm.h"

#include "kernels/gpu_column_sum.h"
#include "kernels/gpu_dropout.h"

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

template <class T>
__global__ void layer_norm_forward_kernel(Forward<T> f) {
    const std::int64_t row = blockIdx.x, at = row * f.columns;
    auto* const mask = shared_memory<std::uint8_t>();
    f.dropout.draw(row, f.columns, mask);
    float total = 0;
    for (std::int64_t c = threadIdx.x; c < f.columns; c += blockDim.x) {
        float s = f.dropout.apply(mask, c, load(f.x + at + c));
        if (f.residual != nullptr) s += load(f.residual + at + c);
        store(f.sum + at + c, s);
        total += load(f.sum + at + c);  // as the backward pass will read it
    }
    const float mean = block_sum(total) / static_cast<float>(f.columns);
    float squares = 0;
    for (std::int64_t c = threadIdx.x; c < f.columns; c += blockDim.x) {
        const float centred = load(f.sum + at + c) - mean;
        squares += centred * centred;
    }
    const float variance = block_sum(squares) / static_cast<float>(f.columns);
    const float rstd = 1.0F / sqrtf(variance + f.epsilon);
    for (std::int64_t c = threadIdx.x; c < f.columns; c += blockDim.x)
        store(f.y + at + c, f.gamma[c] * ((load(f.sum + at + c) - mean) * rstd) + f.beta[c]);
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

template <class T>
__global__ void layer_norm_backward_kernel(Backward<T> b) {
    const std::int64_t row = blockIdx.x, at = row * b.columns;
    auto* const mask = shared_memory<std::uint8_t>();
    b.dropout.draw(row, b.columns, mask);
    const float mean = b.mean[row], rstd = b.rstd[row];
    float sum_g = 0, sum_product = 0;
    for (std::int64_t c = threadIdx.x; c < b.columns; c += blockDim.x) {
        const float g = b.gamma[c] * load(b.dy + at + c);
        sum_g += g;
        sum_product += g * ((load(b.sum + at + c) - mean) * rstd);
    }
    const float mean_g = block_sum(sum_g) / static_cast<float>(b.columns);
    const float mean_product = block_sum(sum_product) / static_cast<float>(b.columns);
    for (std::int64_t c = threadIdx.x; c < b.columns; c += blockDim.x) {
        const float xhat = (load(b.sum + at + c) - mean) * rstd;
        const float ds = rstd * (b.gamma[c] * load(b.dy + at + c) - mean_g - xhat * mean_product);
        const float dx = b.dropout.apply(mask, c, ds);
        // The residual first: dx may be the same memory.
        if (b.dresidual != nullptr)
            store(b.dresidual + at + c, b.accumulate_dresidual ? load(b.dresidual + at + c) + ds : ds);
        store(b.dx + at + c, b.accumulate_dx ? load(b.dx + at + c) + dx : dx);
    }
}

// dy xhat and dy: what dgamma and dbeta are sums of.
template <class T>
struct GradientTerm {
    const T *dy, *sum;
    const float *mean, *rstd;
    std::int64_t columns;

    __device__ Summands<2> operator()(std::int64_t row, std::int64_t column) const {
        const float g = load(dy + row * columns + column);
        return {{g * ((load(sum + row * columns + column) - mean[row]) * rstd[row]), g}};
    }
};

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
    launch(one_block_each_with_mask("layer_norm", rows, columns), layer_norm_forward_kernel<T>, f);
}

template <class T>
void backward(const LayerNormBackward& args) {
    const std::int64_t rows = args.dy.shape[0], columns = args.dy.shape[1];
    // Before dx is written, which may take the place of dy.
    const GradientTerm<T> term = {args.dy.as<T>(), args.sum.as<T>(), args.mean.as<float>(), args.rstd.as<float>(),
                                  columns};
    add_column_sums<2>("layer_norm", term, rows, columns, {{args.dgamma.as<float>(), args.dbeta.as<float>()}});
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
    launch(one_block_each_with_mask("layer_norm", rows, columns), layer_norm_backward_kernel<T>, b);
}

}  // namespace

void layer_norm_forward(const LayerNormForward& args) {
    for_storage("layer_norm", args.x.dtype, [&](auto zero) { forward<decltype(zero)>(args); });
}

void layer_norm_backward(const LayerNormBackward& args) {
    for_storage("layer_norm", args.dy.dtype, [&](auto zero) { backward<decltype(zero)>(args); });
}

}  // namespace locus::LOCUS_TARGET
