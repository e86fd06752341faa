// Layer normalisation on a GPU. Forward: a block of threads for each row, which is read from memory once and waits in shared memory for its mean and
// variance. Backward: a block for some rows, one after the other; what they say about gamma and beta is summed in shared memory, and these sums are added
// up as column sums are. A thread reads in shared memory what it has written itself. Formula, shapes and source: layer_norm.h.
//
// bytes    4 numbers per element either way (x, residual, sum, y; dy, sum, dx, dresidual): 16 in float32, 8 in bfloat16. The sums of a block are two float32
//          per column, written and read: for 16 rows 1 byte per element
// flop     a dozen per element, and dropout's integers
// bound    memory, 1 to 2 flop per byte

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
__device__ float sum_row(const Forward<T>& f, std::int64_t row, const Aside<N>& waiting) {
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
        waiting.put(c, s);
        for (const float one : s.of) total += one;
    }
    return total;
}

template <int N>
__device__ float squares_about(float mean, const Aside<N>& waiting) {
    float squares = 0;
    for (std::int64_t c = N * threadIdx.x; c < waiting.count; c += N * blockDim.x) {
        const Several<N> s = waiting.take(c);
        for (const float one : s.of) squares += (one - mean) * (one - mean);
    }
    return squares;
}

template <int N, class T>
__global__ void layer_norm_forward_kernel(Forward<T> f) {
    const std::int64_t row = blockIdx.x;
    const Aside<N> waiting = {shared_memory<float>(), f.columns};
    const float mean = block_sum(sum_row<N>(f, row, waiting)) / static_cast<float>(f.columns);
    const float variance = block_sum(squares_about<N>(mean, waiting)) / static_cast<float>(f.columns);
    const float rstd = 1.0F / sqrtf(variance + f.epsilon);
    for (std::int64_t c = N * threadIdx.x; c < f.columns; c += N * blockDim.x) {
        Several<N> v = waiting.take(c);
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
    std::int64_t rows, columns, rows_per_block;
};

// What waits in shared memory, [columns] each: of the row at hand g = gamma dy and xhat, of all rows of the block the sums dy xhat and dy.
template <int N>
struct Waiting {
    Aside<N> g, xhat, dgamma, dbeta;

    __device__ Waiting(float* memory, std::int64_t columns)
        : g{memory, columns},
          xhat{memory + columns, columns},
          dgamma{memory + 2 * columns, columns},
          dbeta{memory + 3 * columns, columns} {}
};

template <int N>
__device__ void add_aside(const Aside<N>& to, std::int64_t c, const Several<N>& x) {
    Several<N> sum = to.take(c);
    for (int n = 0; n < N; ++n) sum.of[n] += x.of[n];
    to.put(c, sum);
}

struct GradientSums {
    float of_g, of_product;  // g, g xhat
};

template <int N, class T>
__device__ GradientSums sum_gradients(const Backward<T>& b, std::int64_t row, const Waiting<N>& waiting) {
    const float mean = b.mean[row], rstd = b.rstd[row];
    GradientSums sums = {0, 0};
    for (std::int64_t c = N * threadIdx.x; c < b.columns; c += N * blockDim.x) {
        const Several<N> dy = load_several<N>(b.dy + row * b.columns + c), gamma = load_several<N>(b.gamma + c);
        Several<N> g, product, xhat = load_several<N>(b.sum + row * b.columns + c);
        for (int n = 0; n < N; ++n) {
            g.of[n] = dy.of[n] * gamma.of[n];
            xhat.of[n] = (xhat.of[n] - mean) * rstd;
            product.of[n] = dy.of[n] * xhat.of[n];
            sums.of_g += g.of[n];
            sums.of_product += g.of[n] * xhat.of[n];
        }
        waiting.g.put(c, g);
        waiting.xhat.put(c, xhat);
        add_aside(waiting.dgamma, c, product);
        add_aside(waiting.dbeta, c, dy);
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
__device__ void backward_of_row(const Backward<T>& b, std::int64_t row, const Waiting<N>& waiting) {
    const GradientSums sums = sum_gradients(b, row, waiting);
    const float mean_g = block_sum(sums.of_g) / static_cast<float>(b.columns);
    const float mean_product = block_sum(sums.of_product) / static_cast<float>(b.columns);
    const float rstd = b.rstd[row];
    for (std::int64_t c = N * threadIdx.x; c < b.columns; c += N * blockDim.x) {
        Several<N> ds = waiting.g.take(c);
        const Several<N> xhat = waiting.xhat.take(c);
        for (int n = 0; n < N; ++n) ds.of[n] = rstd * (ds.of[n] - mean_g - xhat.of[n] * mean_product);
        // The residual first: dx may be the same memory.
        if (b.dresidual != nullptr) add_or_store(b.dresidual + row * b.columns + c, ds, b.accumulate_dresidual);
        b.dropout.apply(row, c, ds);
        add_or_store(b.dx + row * b.columns + c, ds, b.accumulate_dx);
    }
}

// partials: [blocks, 2, columns], for dgamma and dbeta.
template <int N, class T>
__global__ void layer_norm_backward_kernel(Backward<T> b, float* partials) {
    const Waiting<N> waiting(shared_memory<float>(), b.columns);
    const std::int64_t begin = blockIdx.x * b.rows_per_block,
                       end = begin + b.rows_per_block < b.rows ? begin + b.rows_per_block : b.rows;
    for (std::int64_t c = N * threadIdx.x; c < b.columns; c += N * blockDim.x) {
        waiting.dgamma.put(c, {});
        waiting.dbeta.put(c, {});
    }
    for (std::int64_t row = begin; row < end; ++row) backward_of_row(b, row, waiting);
    float* const of_block = partials + blockIdx.x * 2 * b.columns;
    for (std::int64_t c = N * threadIdx.x; c < b.columns; c += N * blockDim.x) {
        store_several(of_block + c, waiting.dgamma.take(c));
        store_several(of_block + b.columns + c, waiting.dbeta.take(c));
    }
}

// So many that there are blocks for a large GPU, and so few that their sums are little to move. The number of rows alone decides about the order of sums.
std::int64_t rows_per_block(std::int64_t rows) { return std::clamp<std::int64_t>(rows / 2048, 4, 32); }

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
    if (rows == 0) return;
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
                           .rows = rows,
                           .columns = columns,
                           .rows_per_block = rows_per_block(rows)};
    const std::int64_t blocks = blocks_for(rows, b.rows_per_block);
    float* const partials = room_for_groups<2>(blocks, columns);
    for_width({args.dy, args.sum, args.gamma, args.dx, args.dresidual}, [&](auto width) {
        launch(one_block_each("layer_norm", blocks, threads_for_row<width>(columns), 4 * bytes_of_row(columns)),
               layer_norm_backward_kernel<width, T>, b, partials);
        add_groups<2, width>("layer_norm", partials, blocks, columns,
                             {{args.dgamma.as<float>(), args.dbeta.as<float>()}});
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
