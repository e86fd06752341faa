#include "kernels/depthwise_convolution.h"

#include <algorithm>
#include <string>

#include "kernels/checks.h"
#include "kernels/for_dtype.h"
#include "kernels/isa.h"
#include "kernels/sequence_blocks.h"

namespace locus::LOCUS_TARGET {
namespace {

// The row that tap t sees from row r, or -1 for zeros.
std::int64_t seen(const SequenceBlock& block, std::int64_t r, std::int64_t t, std::int64_t width, Edges edges) {
    const std::int64_t row = r + t - (width - 1) / 2;
    if (row >= block.begin && row < block.end) return row;
    return edges == Edges::zeros ? -1 : std::clamp(row, block.begin, block.end - 1);
}

// The taps of a block's channels, tap by tap, so that channels lie side by side.
template <class T>
struct Taps {
    Taps(const Tensor& weight, const SequenceBlock& block) {
        const std::int64_t width = weight.shape[1];
        for (std::int64_t c = 0; c < block.count; ++c) {
            for (std::int64_t t = 0; t < width; ++t) at[t][c] = weight.as<T>()[(block.first + c) * width + t];
        }
    }
    T at[max_depthwise_width][channels_per_block];
};

template <class T>
void forward(const DepthwiseConvolutionForward& args) {
    const std::int64_t channels = args.x.shape[1], width = args.weight.shape[1];
    for_sequence_blocks(args.rows, channels, [&](const SequenceBlock& block) {
        const Taps<T> taps(args.weight, block);
        const T* const bias = args.bias ? args.bias.as<T>() + block.first : nullptr;
        for (std::int64_t r = block.begin; r < block.end; ++r) {
            T* const y = args.y.as<T>() + r * channels + block.first;
            for (std::int64_t c = 0; c < block.count; ++c) y[c] = bias == nullptr ? T(0) : bias[c];
            for (std::int64_t t = 0; t < width; ++t) {
                const std::int64_t from = seen(block, r, t, width, args.edges);
                if (from < 0) continue;
                const T* const x = args.x.as<T>() + from * channels + block.first;
                const T* const tap = taps.at[t];
#pragma omp simd
                for (std::int64_t c = 0; c < block.count; ++c) y[c] += tap[c] * x[c];
            }
        }
    });
}

// partial: [width + 1, C], the sums of this sequence for weight and bias.
template <class T>
void block_backward(const DepthwiseConvolutionBackward& args, const SequenceBlock& block, T* partial) {
    const std::int64_t channels = args.x.shape[1], width = args.weight.shape[1];
    const Taps<T> taps(args.weight, block);
    T* const dx = args.dx.as<T>() + block.first;
    for (std::int64_t t = 0; t <= width; ++t) std::fill_n(partial + t * channels + block.first, block.count, T(0));
    for (std::int64_t r = block.begin; !args.accumulate && r < block.end; ++r)
        std::fill_n(dx + r * channels, block.count, T(0));
    for (std::int64_t r = block.begin; r < block.end; ++r) {
        const T* const dy = args.dy.as<T>() + r * channels + block.first;
        T* const dbias = partial + width * channels + block.first;
#pragma omp simd
        for (std::int64_t c = 0; c < block.count; ++c) dbias[c] += dy[c];
        for (std::int64_t t = 0; t < width; ++t) {
            const std::int64_t from = seen(block, r, t, width, args.edges);
            if (from < 0) continue;
            const T* const x = args.x.as<T>() + from * channels + block.first;
            const T* const tap = taps.at[t];
            T *const to = dx + from * channels, *const dtap = partial + t * channels + block.first;
#pragma omp simd
            for (std::int64_t c = 0; c < block.count; ++c) {
                to[c] += tap[c] * dy[c];
                dtap[c] += dy[c] * x[c];
            }
        }
    }
}

template <class T>
void backward(const DepthwiseConvolutionBackward& args) {
    const std::int64_t channels = args.x.shape[1], width = args.weight.shape[1];
    const std::int64_t sequences = args.rows.offsets.count() - 1, size = (width + 1) * channels;
    if (sequences == 0) return;
    const Tensor partials = args.arena->tensor({sequences, size}, args.dy.dtype);
    T* const partial = partials.as<T>();
    for_sequence_blocks(args.rows, channels, [&](const SequenceBlock& block) {
        block_backward<T>(args, block, partial + block.number * size);
    });
    for (std::int64_t s = 0; s < sequences; ++s) {
        const T* const of = partial + s * size;
        for (std::int64_t c = 0; c < channels; ++c) {
            for (std::int64_t t = 0; t < width; ++t) args.dweight.as<T>()[c * width + t] += of[t * channels + c];
            if (args.dbias) args.dbias.as<T>()[c] += of[width * channels + c];
        }
    }
    args.arena->give_back(partials.data);
}

void check(Op op, const Tensor& x, const Tensor& weight, const AttentionRows& rows) {
    const Shape shape = matrix_shape(op, "x", x), taps = matrix_shape(op, "weight", weight);
    check_contiguous(op, "x", x, shape);
    check_contiguous(op, "weight", weight, {shape[1], taps[1]});
    check_contiguous(op, "offsets", rows.offsets, {rows.offsets.count()});
    LOCUS_CHECK(taps[1] % 2 == 1 && taps[1] <= max_depthwise_width, op.name,
                "width " + std::to_string(taps[1]) + " is not odd or above " + std::to_string(max_depthwise_width));
}

[[maybe_unused]] void check(const DepthwiseConvolutionForward& args) {
    const Op op = {"depthwise_convolution", args.x.device};
    check(op, args.x, args.weight, args.rows);
    check_contiguous(op, "y", args.y, args.x.shape);
    if (args.bias) check_contiguous(op, "bias", args.bias, {args.x.shape[1]});
}

[[maybe_unused]] void check(const DepthwiseConvolutionBackward& args) {
    const Op op = {"depthwise_convolution_backward", args.dy.device};
    check(op, args.x, args.weight, args.rows);
    check_contiguous(op, "dy", args.dy, args.x.shape);
    check_contiguous(op, "dx", args.dx, args.x.shape);
    check_contiguous(op, "dweight", args.dweight, args.weight.shape);
    if (args.dbias) check_contiguous(op, "dbias", args.dbias, {args.x.shape[1]});
    LOCUS_CHECK(args.arena != nullptr, op.name, "arena is absent");
}

}  // namespace

void depthwise_convolution_forward(const DepthwiseConvolutionForward& args) {
    const char* const op = "depthwise_convolution";
    check_dtype(op, "weight", args.weight, args.x.dtype);
    for_dtype(op, args.x.dtype, [&](auto zero) { forward<decltype(zero)>(args); });
}

void depthwise_convolution_backward(const DepthwiseConvolutionBackward& args) {
    const char* const op = "depthwise_convolution_backward";
    check_dtype(op, "weight", args.weight, args.x.dtype);
    for_dtype(op, args.x.dtype, [&](auto zero) { backward<decltype(zero)>(args); });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(depthwise_convolution_forward, DepthwiseConvolutionForward, x)
LOCUS_KERNEL(depthwise_convolution_backward, DepthwiseConvolutionBackward, dy)
