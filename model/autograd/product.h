#pragma once
// The backward pass of a product with a weight, shared by the operations that hold one.

#include "model/autograd/tape.h"

namespace locus {

/// Backward of y = x W^T:  dW += dy^T x,  dx = dy W.   x: [rows, in], W: [out, in], dy: [rows, out]
void product_backward(Tape& tape, const Tensor& dy, Var x, Var weight);

}  // namespace locus
