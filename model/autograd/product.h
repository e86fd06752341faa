#pragma once
// The backward pass of a product with a weight, shared by the operations that hold one.

#include "model/autograd/tape.h"

namespace locus {

/// Backward of y = x W^T + b:  dW += dy^T x,  db += sum_rows(dy),  dx = dy W.   x: [rows, in], W: [out, in], b: [out] optional, dy: [rows, out]
void product_backward(Tape& tape, const Tensor& dy, Var x, Var weight, Var bias = {});

}  // namespace locus
