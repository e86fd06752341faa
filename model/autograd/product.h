#pragma once
// Operands of the matrix products in an operation: as they are, or rounded to bfloat16 when the tape says so (run.precision; kernels/matmul.h). A tensor
// is rounded once, in the forward pass, and serves the backward pass too.

#include "model/autograd/tape.h"

namespace locus {

/// `x` itself, or a rounded copy that lives as long as the node being built. x: [rows, columns]
Tensor operand(Tape& tape, const Tensor& x);

/// The same during backward(): a copy lives as long as this object.
class GradientOperand {
public:
    GradientOperand(Tape& tape, const Tensor& x);
    ~GradientOperand();
    GradientOperand(const GradientOperand&) = delete;
    GradientOperand& operator=(const GradientOperand&) = delete;

    const Tensor& tensor() const { return tensor_; }

private:
    Arena& arena_;
    Tensor tensor_;
    bool is_copy_;
};

/// Backward of y = x W^T:  dW += dy^T x,  dx = dy W.   operands: what the forward pass multiplied
struct ProductOperands {
    Tensor x, weight;
};
void product_backward(Tape& tape, const Tensor& dy, Var x, Var weight, const ProductOperands& operands);

}  // namespace locus
