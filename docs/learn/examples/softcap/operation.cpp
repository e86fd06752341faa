// y = c tanh(x / c);   dx = dy (1 - (y / c)^2).   softcap.h
#include "docs/learn/examples/softcap/operation.h"

#include "docs/learn/examples/softcap/softcap.h"
#include "model/autograd/operation_cost.h"

namespace locus {

Var softcap(Tape& tape, Var x, double bound) {
    const Tensor value = tape.allocate(x.shape(), x.value().dtype);
    softcap_forward({.x = x.value(), .y = value, .bound = bound});
    const Var y = tape.variable(value);
    tape.record({.forward = moves(x, y), .backward = moves(y, y, x)}, [&tape, x, y, bound] {
        const Tensor dy = tape.gradient_of(y);
        if (!dy || !tape.needs_gradient(x)) return;
        const GradientTarget dx = tape.gradient_target(x);
        softcap_backward({.dy = dy, .y = y.value(), .dx = dx.tensor, .bound = bound, .accumulate = dx.accumulate});
    });
    return y;
}

}  // namespace locus
