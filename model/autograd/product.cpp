#include "model/autograd/product.h"

#include "kernels/matmul.h"

namespace locus {

void product_backward(Tape& tape, const Tensor& dy, Var x, Var weight) {
    const bool bfloat16 = tape.bfloat16_products();
    matmul({.a = dy,
            .b = x.value(),
            .c = tape.gradient_sum(weight),
            .transpose_a = true,
            .accumulate = true,
            .bfloat16 = bfloat16});
    if (!tape.needs_gradient(x)) return;
    const GradientTarget dx = tape.gradient_target(x);
    matmul({.a = dy, .b = weight.value(), .c = dx.tensor, .accumulate = dx.accumulate, .bfloat16 = bfloat16});
}

}  // namespace locus
