#pragma once
// A convolution along each sequence in which every channel has taps of its own and sees no other channel.
//
//   forward    y[i, c] = sum_t weight[c, t] x[i + t - (width - 1) / 2, c] + bias[c]       i: place in the sequence; no flip
//   backward   dx[i + t - (width - 1) / 2, c] += weight[c, t] dy[i, c],   dweight[c, t] += sum_i dy[i, c] x[i + t - (width - 1) / 2, c],
//              dbias[c] += sum_i dy[i, c]
//   edges      what stands past the ends of the sequence: zeros, or the nearest row again and again
//
// shapes   x, y, dy, dx: [rows, C]   weight: [C, width], width odd   bias: [C], optional
// order    sums over i are taken per sequence, then over the sequences in their order: the same bits for any number of threads
// cost     2 width flop per element; memory bound

#include "kernels/attention.h"
#include "kernels/memory.h"
#include "kernels/tensor.h"

namespace locus {

enum class Edges : std::uint8_t { zeros, nearest };

constexpr std::int64_t max_depthwise_width = 63;

struct DepthwiseConvolutionForward {
    Tensor x, weight;
    Tensor bias = {};
    AttentionRows rows;
    Edges edges = Edges::zeros;
    Tensor y;  // out
};
void depthwise_convolution_forward(const DepthwiseConvolutionForward& args);

struct DepthwiseConvolutionBackward {
    Tensor dy, x, weight;
    AttentionRows rows;
    Edges edges = Edges::zeros;
    Tensor dx;  // added to, or overwritten
    bool accumulate = false;
    Tensor dweight;          // added to
    Tensor dbias = {};       // added to, when present
    Arena* arena = nullptr;  // scratch
};
void depthwise_convolution_backward(const DepthwiseConvolutionBackward& args);

}  // namespace locus
