// bias[h, r] = -p ln(1 + a |r|) or -a |r|^p;   gradients of what a and p are made of.   kernels/kerple.h
#include "kernels/kerple.h"

#include "model/autograd/operation_cost.h"
#include "model/autograd/operations.h"

namespace locus {

Var kerple_bias(Tape& tape, Var a, Var p, bool power, std::int64_t reach) {
    const Tensor bias = tape.allocate({a.shape()[1], 2 * reach + 1}, a.value().dtype);
    const Kerple forward = {.a = a.value(), .p = p.value(), .power = power, .bias = bias, .da = {}, .dp = {}};
    kerple_forward(forward);
    const Var y = tape.variable(bias);
    tape.record({.forward = moves(y), .backward = moves(y)}, [&tape, a, p, forward, y] {
        Kerple backward = forward;
        backward.bias = tape.gradient_of(y);
        if (!backward.bias) return;
        backward.da = tape.gradient_sum(a);
        backward.dp = tape.gradient_sum(p);
        kerple_backward(backward);
    });
    return y;
}

}  // namespace locus
