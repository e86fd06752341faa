// A convolution of each channel by itself on a GPU: a thread for each number of y and of dx; for the gradients of the taps a thread for each sequence,
// tap and channel, then one for each tap and channel that adds the sequences up in their order. Formula and shapes: depthwise_convolution.h.
//
// bytes    2 numbers per element forward and 2 for dx: what the taps read beside that comes from the cache. dweight reads dy and x from there width times
// flop     2 width per element forward, twice that backward
// bound    by instructions: each product has a load of its own, one number wide, so some 5 width of them for 4 or 8 bytes. The taps' gradients by latency,
//          as one thread walks along a whole sequence

#include "kernels/depthwise_convolution.h"

#include "kernels/gpu_sequences.h"

namespace locus::LOCUS_TARGET {
namespace {

// The taps of a convolution over ragged rows.
struct Taps {
    Sequences sequences;
    std::int64_t channels, width;
    Edges edges;

    // The row that tap t sees from row r, or -1 for zeros.
    __device__ std::int64_t seen(SequenceRows rows, std::int64_t r, std::int64_t t) const {
        const std::int64_t row = r + t - (width - 1) / 2;
        if (row >= rows.begin && row < rows.end) return row;
        if (edges == Edges::zeros) return -1;
        return row < rows.begin ? rows.begin : rows.end - 1;
    }

    // The rows from which tap t sees row r: one, but at the ends of a sequence perhaps all that look past them.
    __device__ SequenceRows seers(SequenceRows rows, std::int64_t r, std::int64_t t) const {
        const std::int64_t row = r - t + (width - 1) / 2;
        SequenceRows from = {row, row + 1};
        if (edges == Edges::nearest && r == rows.begin) from.begin = rows.begin;
        if (edges == Edges::nearest && r == rows.end - 1) from.end = rows.end;
        if (from.begin < rows.begin) from.begin = rows.begin;
        if (from.end > rows.end) from.end = rows.end;
        return from;
    }
};

template <class T>
__global__ void depthwise_convolution_forward_kernel(Taps taps, const T* x, const float* weight, const float* bias,
                                                     T* y, std::int64_t count) {
    const std::int64_t i = index_in_grid();
    if (i >= count) return;
    const std::int64_t row = i / taps.channels, c = i % taps.channels;
    const SequenceRows rows = taps.sequences.around(row);
    float sum = bias == nullptr ? 0.0F : bias[c];
    for (std::int64_t t = 0; t < taps.width; ++t) {
        const std::int64_t from = taps.seen(rows, row, t);
        if (from >= 0) sum += weight[c * taps.width + t] * load(x + from * taps.channels + c);
    }
    store(y + i, sum);
}

template <class T>
__global__ void depthwise_convolution_dx_kernel(Taps taps, const T* dy, const float* weight, T* dx, bool accumulate,
                                                std::int64_t count) {
    const std::int64_t i = index_in_grid();
    if (i >= count) return;
    const std::int64_t row = i / taps.channels, c = i % taps.channels;
    const SequenceRows rows = taps.sequences.around(row);
    float sum = accumulate ? load(dx + i) : 0.0F;
    for (std::int64_t t = 0; t < taps.width; ++t) {
        const SequenceRows from = taps.seers(rows, row, t);
        for (std::int64_t r = from.begin; r < from.end; ++r)
            sum += weight[c * taps.width + t] * load(dy + r * taps.channels + c);
    }
    store(dx + i, sum);
}

// partials: [sequences, width + 1, channels], the last of the middle for the bias.
template <class T>
__global__ void depthwise_convolution_sums_kernel(Taps taps, const T* dy, const T* x, float* partials) {
    const std::int64_t i = index_in_grid(), size = (taps.width + 1) * taps.channels;
    if (i >= taps.sequences.count * size) return;
    const SequenceRows rows = taps.sequences[i / size];
    const std::int64_t t = i % size / taps.channels, c = i % taps.channels;
    float sum = 0;
    for (std::int64_t r = rows.begin; r < rows.end; ++r) {
        const float d = load(dy + r * taps.channels + c);
        const std::int64_t from = t == taps.width ? r : taps.seen(rows, r, t);
        if (from >= 0) sum += t == taps.width ? d : d * load(x + from * taps.channels + c);
    }
    partials[i] = sum;
}

__global__ void depthwise_convolution_add_kernel(Taps taps, const float* partials, float* dweight, float* dbias) {
    const std::int64_t i = index_in_grid(), size = (taps.width + 1) * taps.channels;
    if (i >= size) return;
    const std::int64_t t = i / taps.channels, c = i % taps.channels;
    float sum = 0;
    for (std::int64_t s = 0; s < taps.sequences.count; ++s) sum += partials[s * size + i];
    if (t < taps.width) {
        dweight[c * taps.width + t] += sum;
    } else if (dbias != nullptr) {
        dbias[c] += sum;
    }
}

template <class T>
void forward(const DepthwiseConvolutionForward& args) {
    const Taps taps = {sequences_of(args.rows), args.weight.shape[0], args.weight.shape[1], args.edges};
    const std::int64_t count = args.x.count();
    launch(one_thread_each("depthwise_convolution", count), depthwise_convolution_forward_kernel<T>, taps,
           args.x.as<T>(), args.weight.as<float>(), args.bias ? args.bias.as<float>() : nullptr, args.y.as<T>(), count);
}

template <class T>
void backward(const DepthwiseConvolutionBackward& args) {
    const char* const op = "depthwise_convolution_backward";
    const Taps taps = {sequences_of(args.rows), args.weight.shape[0], args.weight.shape[1], args.edges};
    const std::int64_t count = args.x.count(), size = (taps.width + 1) * taps.channels;
    launch(one_thread_each(op, count), depthwise_convolution_dx_kernel<T>, taps, args.dy.as<T>(),
           args.weight.as<float>(), args.dx.as<T>(), args.accumulate, count);
    const std::int64_t sums = taps.sequences.count * size;
    auto* const partials = static_cast<float*>(scratch(static_cast<std::size_t>(sums) * sizeof(float)));
    launch(one_thread_each(op, sums), depthwise_convolution_sums_kernel<T>, taps, args.dy.as<T>(), args.x.as<T>(),
           partials);
    launch(one_thread_each(op, size), depthwise_convolution_add_kernel, taps, partials, args.dweight.as<float>(),
           args.dbias ? args.dbias.as<float>() : nullptr);
}

}  // namespace

void depthwise_convolution_forward(const DepthwiseConvolutionForward& args) {
    for_storage("depthwise_convolution", args.x.dtype, [&](auto zero) { forward<decltype(zero)>(args); });
}

void depthwise_convolution_backward(const DepthwiseConvolutionBackward& args) {
    for_storage("depthwise_convolution_backward", args.x.dtype, [&](auto zero) { backward<decltype(zero)>(args); });
}

}  // namespace locus::LOCUS_TARGET
