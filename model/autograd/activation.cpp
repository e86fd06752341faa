// y = tanh(x);   dx = dy (1 - y^2).           kernels/tanh.h
// y = gelu(x);   dx = dy gelu'(x).            kernels/gelu.h
#include "kernels/add.h"
#include "kernels/gelu.h"
#include "kernels/tanh.h"
#include "model/autograd/operation_cost.h"
#include "model/autograd/operations.h"

namespace locus {

Var tanh(Tape& tape, Var x) {
    const Tensor value = tape.allocate(x.shape(), x.value().dtype);
    tanh_forward({.x = x.value(), .y = value});
    const Var y = tape.variable(value);
    tape.record({.forward = moves(x, y), .backward = moves(y, y, x)}, [&tape, x, y] {
        const Tensor dy = tape.gradient_of(y);
        if (!dy || !tape.needs_gradient(x)) return;
        // Nobody reads dy after this node: the gradient before the tanh takes its place when dx is already there.
        const GradientTarget dx = tape.gradient_target(x);
        tanh_backward({.dy = dy, .y = y.value(), .dx = dx.accumulate ? dy : dx.tensor});
        if (dx.accumulate) add({.x = dy, .y = dx.tensor});
    });
    return y;
}

Var gelu(Tape& tape, Var x) {
    const Tensor value = tape.allocate(x.shape(), x.value().dtype);
    const Var no_bias = zeros(tape, Tensor(nullptr, {x.shape()[1]}, arithmetic_of(x.value().dtype)));
    gelu_forward({.x = x.value(), .bias = no_bias.value(), .y = value});
    const Var y = tape.variable(value);
    tape.record({.forward = moves(x, y), .backward = moves(y, x, x)}, [&tape, x, no_bias, y] {
        const Tensor dy = tape.gradient_of(y);
        if (!dy || !tape.needs_gradient(x)) return;
        const GradientTarget dx = tape.gradient_target(x);
        const Tensor unused = tape.gradient_sum(no_bias);
        gelu_backward(
            {.dy = dy, .x = x.value(), .bias = no_bias.value(), .dx = dx.accumulate ? dy : dx.tensor, .dbias = unused});
        if (dx.accumulate) add({.x = dy, .y = dx.tensor});
    });
    return y;
}

}  // namespace locus
