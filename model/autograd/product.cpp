#include "model/autograd/product.h"

#include "kernels/matmul.h"

namespace locus {

void product_backward(Tape& tape, const Tensor& dy, Var x, Var weight, Var bias) {
    matmul({.a = dy,
            .b = x.value(),
            .c = tape.gradient_sum(weight),
            .transpose_a = true,
            .accumulate = true,
            .rounding = tape.rounding(),
            .a_column_sum = bias ? tape.gradient_sum(bias) : Tensor()});
    if (!tape.needs_gradient(x)) return;
    const GradientTarget dx = tape.gradient_target(x);
    matmul({.a = dy, .b = weight.operand(), .c = dx.tensor, .accumulate = dx.accumulate, .rounding = tape.rounding()});
}

}  // namespace locus
