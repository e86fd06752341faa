// y = x W^T + b;   dx = dy W,   dW += dy^T x,   db += sum_rows(dy) (product.h)
// y = gelu(x W^T + b): the same with dy replaced by the gradient before the GELU.   kernels/matmul.h, kernels/gelu.h
#include "kernels/gelu.h"
#include "kernels/matmul.h"
#include "model/autograd/operation_cost.h"
#include "model/autograd/operations.h"
#include "model/autograd/product.h"

namespace locus {
namespace {

Tensor allocate_output(Tape& tape, Var x, Var weight) {
    return tape.allocate({x.shape()[0], weight.shape()[0]}, x.value().dtype);
}

}  // namespace

Var linear(Tape& tape, Var x, Var weight, Var bias) {
    const Tensor value = allocate_output(tape, x, weight);
    matmul({.a = x.value(),
            .b = weight.operand(),
            .c = value,
            .transpose_b = true,
            .bias = bias ? bias.value() : Tensor(),
            .rounding = tape.rounding()});
    const Var y = tape.variable(value);
    tape.record(product_cost(tape, x, weight), [&tape, x, weight, bias, y] {
        const Tensor dy = tape.gradient_of(y);
        if (!dy) return;
        product_backward(tape, dy, x, weight, bias);
    });
    return y;
}

Var linear_gelu(Tape& tape, Var x, Var weight, Var bias) {
    const Tensor product = allocate_output(tape, x, weight);
    matmul({.a = x.value(), .b = weight.operand(), .c = product, .transpose_b = true, .rounding = tape.rounding()});
    const Tensor value = allocate_output(tape, x, weight);
    gelu_forward({.x = product, .bias = bias.value(), .y = value});
    const Var y = tape.variable(value);
    const OperationCost gelu = {.forward = moves(y), .backward = moves(product)};
    tape.record(product_cost(tape, x, weight) + gelu, [&tape, x, weight, bias, product, y] {
        const Tensor dy = tape.gradient_of(y);
        if (!dy) return;
        // Nobody reads dy after this node: the gradient before the GELU takes its place.
        gelu_backward({.dy = dy, .x = product, .bias = bias.value(), .dx = dy, .dbias = tape.gradient_sum(bias)});
        product_backward(tape, dy, x, weight);
    });
    return y;
}

}  // namespace locus
