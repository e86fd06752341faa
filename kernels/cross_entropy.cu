// Softmax and cross-entropy on a GPU: a block of threads for each row, which is read from memory once. What fits of it waits in shared memory between the
// passes (28,000 numbers of each of two blocks on one multiprocessor of compute capability 9.0, so that one reads while the other computes); the rest is read
// again, from the cache. Formula, shapes: cross_entropy.h.
//
//   1. z = logit + bias: the largest, and whether all are finite
//   2. e = exp(z - largest): their sum, and where the largest comes first
//   3. gradient = scale e / sum, less scale at the target
//
// bytes    per logit one read and, with the gradient, one write, and one read more for dbias: 12 in float32, 8 when the gradient is bfloat16. The bias comes
//          from the cache, 4 per logit
// flop     20, one exponential among them
// bound    memory, 2 flop per byte: 0.25 ms for 5,000 rows of 30,000 at 4.8 TB/s, the gradient in bfloat16

#include "kernels/cross_entropy.h"

#include <limits>

#include "kernels/column_sum.h"
#include "kernels/gpu_vector.h"

namespace locus::LOCUS_TARGET {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr unsigned threads_per_row = 768;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800  // has room for 1024 threads
constexpr unsigned rows_at_once = 1;
#else
constexpr unsigned rows_at_once = 2;  // on one multiprocessor
#endif

// The gradient may take the place of the logits: a thread has read a logit before it writes there.
template <class T, class G>
struct Rows {
    const T* logits;
    std::int64_t logits_stride;
    G* gradient;  // or nullptr
    std::int64_t gradient_stride;
    const float* bias;  // or nullptr
    const std::int32_t* targets;
    double* loss;
    std::int32_t* correct;
    float scale;
    int columns, waiting;  // waiting: so many of the columns wait in shared memory
};

// A row as its threads pass over it: N neighbours at a time, what is left over one by one. In each pass a thread meets the same columns.
template <int N, class T>
struct Row {
    const T* logits;
    const float* bias;
    int columns;
    Aside<N> waiting;

    /// Calls body(M, v) for M columns from v on.
    template <class Body>
    __device__ void pass(const Body& body) const {
        const int thread = static_cast<int>(threadIdx.x), even = columns / N * N;
        for (int v = N * thread; v < even; v += N * static_cast<int>(threads_per_row))
            body(std::integral_constant<int, N>(), v);
        if (even + thread < columns) body(std::integral_constant<int, 1>(), even + thread);
    }
    template <int M>
    __device__ bool waits(int v) const {
        return M == N && v < waiting.count;
    }
    template <int M>
    __device__ void put(int v, const Several<M>& x) const {
        if constexpr (M == N)
            if (waits<M>(v)) waiting.put(v, x);
    }
    /// What was put there last, or else z.
    template <int M>
    __device__ Several<M> take(int v) const {
        if constexpr (M == N)
            if (waits<M>(v)) return waiting.take(v);
        return z<M>(v);
    }
    template <int M>
    __device__ Several<M> z(int v) const {
        Several<M> sum = load_several<M>(logits + v);
        if (bias == nullptr) return sum;
        const Several<M> b = load_several<M>(bias + v);
        for (int n = 0; n < M; ++n) sum.of[n] += b.of[n];
        return sum;
    }
};

struct Range {
    float largest;  // but for NaN
    bool is_finite;
};

template <int N, class T>
__device__ Range range_of(const Row<N, T>& row) {
    float largest = -infinity, zero = 0;
    row.pass([&](auto width, int v) {
        const Several<width> z = row.template z<width>(v);
        for (const float one : z.of) {
            largest = fmaxf(largest, one);
            zero += 0.0F * one;  // NaN, if it is not finite
        }
        row.template put<width>(v, z);
    });
    return {block_max(largest), block_sum(zero) == 0};
}

struct Softmax {
    float sum;  // of exp(z - largest), which wait instead of z from here on
    int first;  // place of the largest
};

template <int N, class T>
__device__ Softmax softmax_of(const Row<N, T>& row, float largest) {
    float sum = 0;
    int first = row.columns;
    row.pass([&](auto width, int v) {
        Several<width> x = row.template take<width>(v);
        for (int n = 0; n < width; ++n) {
            if (x.of[n] == largest && v + n < first) first = v + n;
            x.of[n] = expf(x.of[n] - largest);
            sum += x.of[n];
        }
        row.template put<width>(v, x);
    });
    return {block_sum(sum), -block_max(-first)};
}

template <int N, class T, class G>
__device__ void write_gradient(const Row<N, T>& row, float largest, float factor, G* gradient) {
    row.pass([&](auto width, int v) {
        Several<width> x = row.template take<width>(v);
        if (!row.template waits<width>(v))
            for (float& one : x.of) one = expf(one - largest);
        for (float& one : x.of) one *= factor;
        store_several(gradient + v, x);
    });
}

template <int N, class T, class G>
__device__ void cross_entropy_of_row(const Rows<T, G>& p, std::int64_t r, int target) {
    const Row<N, T> row = {p.logits + r * p.logits_stride, p.bias, p.columns, {shared_memory<float>(), p.waiting}};
    const float target_z = row.template z<1>(target).of[0];
    const Range range = range_of(row);
    const Softmax softmax = softmax_of(row, range.largest);
    if (threadIdx.x == 0) {
        const double loss =
            log(static_cast<double>(softmax.sum)) + static_cast<double>(range.largest) - static_cast<double>(target_z);
        p.loss[r] = range.is_finite ? loss : std::numeric_limits<double>::quiet_NaN();
        p.correct[r] = range.is_finite && softmax.first == target ? 1 : 0;
    }
    if (p.gradient == nullptr) return;
    G* const gradient = p.gradient + r * p.gradient_stride;
    const float factor = range.is_finite ? p.scale / softmax.sum : std::numeric_limits<float>::quiet_NaN();
    write_gradient(row, range.largest, factor, gradient);
    __syncthreads();  // another thread has written at the target
    if (threadIdx.x == 0) store(gradient + target, factor * expf(target_z - range.largest) - p.scale);
}

template <int N, class T, class G>
__global__ void __launch_bounds__(threads_per_row, rows_at_once) cross_entropy_kernel(Rows<T, G> p, int* faults) {
    const std::int64_t r = blockIdx.x;
    const int target = p.targets[r];
    if (target >= 0 && target < p.columns) {
        cross_entropy_of_row<N>(p, r, target);
    } else {
        raise(faults, Fault::target);
    }
}

// How many numbers of a row wait. Compute capabilities 9 and 10 have 228 KB of shared memory for each multiprocessor; elsewhere no more is asked for than
// every card gives.
int waiting_columns(int columns) {
    static const int generation = device_functions.compute_capability() / 10;
    const int room = (generation == 9 || generation == 10 ? 112 : 40) * 1024;
    const int most = room / static_cast<int>(sizeof(float));
    return (columns < most ? columns : most) / most_several * most_several;
}

template <class T, class G>
void cross_entropy_of(const CrossEntropy& args, const Tensor& gradient) {
    const int columns = static_cast<int>(args.logits.shape[1]);
    const Rows<T, G> p = {.logits = args.logits.as<T>(),
                          .logits_stride = args.logits.strides[0],
                          .gradient = args.gradient ? gradient.as<G>() : nullptr,
                          .gradient_stride = gradient.strides[0],
                          .bias = args.bias ? args.bias.as<float>() : nullptr,
                          .targets = args.targets.as<std::int32_t>(),
                          .loss = args.loss.as<double>(),
                          .correct = args.correct.as<std::int32_t>(),
                          .scale = static_cast<float>(args.scale),
                          .columns = columns,
                          .waiting = waiting_columns(columns)};
    const Launch blocks = one_block_each("cross_entropy", args.logits.shape[0], threads_per_row,
                                         static_cast<std::size_t>(p.waiting) * sizeof(float));
    for_width_of_rows({args.logits, args.bias, gradient},
                      [&](auto width) { launch(blocks, cross_entropy_kernel<width, T, G>, p, faults()); });
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
