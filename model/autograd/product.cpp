#include "model/autograd/product.h"

#include "kernels/matmul.h"
#include "kernels/round_to_bfloat16.h"

namespace locus {

Tensor operand(Tape& tape, const Tensor& x) {
    if (!tape.bfloat16_products()) return x;
    const Tensor rounded = tape.allocate(x.shape, bfloat16_operand());
    round_to_bfloat16({.x = x, .y = rounded});
    return rounded;
}

GradientOperand::GradientOperand(Tape& tape, const Tensor& x)
    : arena_(tape.arena()), tensor_(x), is_copy_(tape.bfloat16_products()) {
    if (!is_copy_) return;
    tensor_ = arena_.tensor(x.shape, bfloat16_operand());
    round_to_bfloat16({.x = x, .y = tensor_});
}

GradientOperand::~GradientOperand() {
    if (is_copy_) arena_.give_back(tensor_.data);
}

void product_backward(Tape& tape, const Tensor& dy, Var x, Var weight, const ProductOperands& operands) {
    const GradientOperand dy_operand(tape, dy);
    const Tensor& a = dy_operand.tensor();
    matmul({.a = a, .b = operands.x, .c = tape.gradient_sum(weight), .transpose_a = true, .accumulate = true});
    if (!tape.needs_gradient(x)) return;
    const GradientTarget dx = tape.gradient_target(x);
    matmul({.a = a, .b = operands.weight, .c = dx.tensor, .accumulate = dx.accumulate});
}

}  // namespace locus
