// x[r] = side psi(|r|) / (psi(max(longest - 1, t)) + 1e-6);   gradients of c and t.   kernels/fire.h
#include "kernels/fire.h"

#include "model/autograd/operation_cost.h"
#include "model/autograd/operations.h"

namespace locus {

Var fire_distances(Tape& tape, Var c, Var t, const FireShape& shape, std::int64_t longest) {
    const Tensor value = tape.allocate({2 * longest - 1}, c.value().dtype);
    const FireDistances forward = {.c = c.value(),
                                   .t = t.value(),
                                   .slope = shape.slope,
                                   .threshold = shape.threshold,
                                   .is_signed = shape.is_signed,
                                   .x = value,
                                   .dc = {},
                                   .dt = {}};
    fire_distances_forward(forward);
    const Var x = tape.variable(value);
    tape.record({.forward = moves(x), .backward = moves(x)}, [&tape, c, t, forward, x] {
        FireDistances backward = forward;
        backward.x = tape.gradient_of(x);
        if (!backward.x) return;
        backward.dc = tape.gradient_sum(c);
        backward.dt = tape.gradient_sum(t);
        fire_distances_backward(backward);
    });
    return x;
}

}  // namespace locus
