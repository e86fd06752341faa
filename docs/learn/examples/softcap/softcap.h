#pragma once
// Softcap: an odd function that leaves small numbers alone and never exceeds a bound. Some models cap their attention scores or logits with it.
//
//   forward    y = c tanh(x / c)
//   backward   dy/dx = 1 - tanh(x / c)^2 = 1 - (y / c)^2,   so   dx = dy * (1 - (y / c)^2)
//
// shapes   x, y, dy, dx: the same, contiguous; y may be x, and dx may be dy
// saved    y
// cost     forward: one tanh per element; backward: reads dy and y, writes dx, 4 flop per element, memory bound
// errors   a bound that is not positive and finite throws std::logic_error; NaN in gives NaN out

#include "kernels/tensor.h"

namespace locus {

struct SoftcapForward {
    Tensor x, y;
    double bound;  // c, above 0
};
void softcap_forward(const SoftcapForward& args);

struct SoftcapBackward {
    Tensor dy, y, dx;
    double bound;
    bool accumulate = false;  // add to dx instead of overwriting it
};
void softcap_backward(const SoftcapBackward& args);

}  // namespace locus
