// y = x, stored differently;   dx = dy.   kernels/copy_columns.h
#include "kernels/copy_columns.h"
#include "model/autograd/operation_cost.h"
#include "model/autograd/operations.h"

namespace locus {

Var convert(Tape& tape, Var x, DType dtype) {
    if (x.value().dtype == dtype) return x;
    const Tensor value = tape.allocate(x.shape(), dtype);
    copy_columns({.x = x.value(), .y = value});
    const Var y = tape.variable(value, tape.needs_gradient(x));
    tape.record({.forward = moves(x, y), .backward = moves(y, x)}, [&tape, x, y] {
        const Tensor dy = tape.gradient_of(y);
        if (!dy || !tape.needs_gradient(x)) return;
        const GradientTarget dx = tape.gradient_target(x);
        copy_columns({.x = dy, .y = dx.tensor, .accumulate = dx.accumulate});
    });
    return y;
}

}  // namespace locus
