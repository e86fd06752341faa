#pragma once
// The hyperbolic tangent, element by element.
//
//   forward    y = tanh(x)
//   backward   dx = dy (1 - y^2)
//
// shapes   x, y, dy, dx: equal, contiguous; dx may be dy
// saved    y

#include "kernels/tensor.h"

namespace locus {

struct TanhForward {
    Tensor x, y;
};
void tanh_forward(const TanhForward& args);

struct TanhBackward {
    Tensor dy, y;
    Tensor dx;  // out
};
void tanh_backward(const TanhBackward& args);

}  // namespace locus
