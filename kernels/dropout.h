#pragma once
// Dropout whose mask is a function, not a tensor.
//
//   forward    y = keep ? x / (1 - p) : 0         backward   dx = keep ? dy / (1 - p) : 0
//   keep       16 bits of Philox >= round(65536 p); p is rounded to that grid, and the scale uses the rounded p, so E[y] = x exactly
//
// One Philox call serves eight neighbouring columns (four words, two halves each, the low half first):
//   key (seed, site)   counter (column / 8, row in sequence, sequence [* heads + head], step)
//
// shapes   x, y, dy, dx: [rows, columns] contiguous; x and y may be the same memory
// cost     read x, write y; about one instruction per element for the mask
// paper    Srivastava et al. 2014; Philox: random.h

#include <cstdint>

#include "kernels/tensor.h"

namespace locus {

/// Which mask to draw. p = 0 means none.
struct Dropout {
    float probability = 0.0F;
    std::uint32_t seed = 0;
    std::uint32_t site = 0;  // one number per place in the model: random.h
    std::uint32_t step = 0;

    explicit operator bool() const { return probability > 0.0F; }
};

/// The sequence and the place in it of each row of a ragged batch, as dropout counters; both int32 [rows]. Rows of the same
/// sequence draw the same masks however the batch is cut into micro-batches.
struct DropoutRows {
    Tensor sequence;  // number in the global batch
    Tensor position;  // row within the sequence
};

struct DropoutForward {
    Tensor x, y;  // [rows, columns]
    Dropout dropout;
    DropoutRows rows;
};
void dropout_forward(const DropoutForward& args);

/// The gradient is the same function of dy: dropout_forward({.x = dy, .y = dx, ...}).

}  // namespace locus
