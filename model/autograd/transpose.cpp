// y = x^T;   dx = dy^T.   kernels/transpose.h
#include "kernels/transpose.h"

#include "model/autograd/operation_cost.h"
#include "model/autograd/operations.h"

namespace locus {

Var transpose(Tape& tape, Var x) {
    const Tensor value = tape.allocate({x.shape()[1], x.shape()[0]}, x.value().dtype);
    transpose({.x = x.value(), .y = value});
    const Var y = tape.variable(value, tape.needs_gradient(x));
    tape.record({.forward = moves(x, y), .backward = moves(y, x)}, [&tape, x, y] {
        const Tensor dy = tape.gradient_of(y);
        if (!dy || !tape.needs_gradient(x)) return;
        const GradientTarget dx = tape.gradient_target(x);
        transpose({.x = dy, .y = dx.tensor, .accumulate = dx.accumulate});
    });
    return y;
}

}  // namespace locus
