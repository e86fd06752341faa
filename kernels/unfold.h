#pragma once
// Each row of a ragged batch together with its neighbours, so that a convolution over the sequence is one matrix product ("im2col").
//
//   forward    y[r, c width + t] = x[row at position p_r + t - (width - 1) / 2 of r's sequence, c], or 0 where there is none
//   backward   dx[s, c] = sum_t dy[row at position p_s - t + (width - 1) / 2, c width + t]
//
// shapes   x, dx: [rows, C]   y, dy: [rows, C width]   rows: offsets and positions as in attention.h, positions rising within a sequence
// cost     C width numbers read and written per row

#include "kernels/attention.h"
#include "kernels/tensor.h"

namespace locus {

struct UnfoldForward {
    Tensor x;
    AttentionRows rows;
    std::int64_t width = 1;  // odd
    Tensor y;
};
void unfold_forward(const UnfoldForward& args);

struct UnfoldBackward {
    Tensor dy;
    AttentionRows rows;
    std::int64_t width = 1;
    Tensor dx;  // added to, or overwritten
    bool accumulate = false;
};
void unfold_backward(const UnfoldBackward& args);

}  // namespace locus
