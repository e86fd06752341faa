// y[m] = x[indices[m]];   dx[indices[m]] += dy[m].   kernels/gather_rows.h
#include "kernels/gather_rows.h"

#include "model/autograd/operation_cost.h"
#include "model/autograd/operations.h"

namespace locus {

Var gather_rows(Tape& tape, Var x, Tensor indices) {
    indices = tape.resident(indices);
    const Tensor value = tape.allocate({indices.count(), x.shape()[1]}, x.value().dtype);
    gather_rows_forward({.x = x.value(), .indices = indices, .y = value});
    const Var y = tape.variable(value);
    tape.record({.forward = moves(y, y), .backward = moves(y, x)}, [&tape, x, indices, y] {
        const Tensor dy = tape.gradient_of(y);
        if (!dy || !tape.needs_gradient(x)) return;
        const GradientTarget dx = tape.gradient_target(x);
        gather_rows_backward({.dy = dy, .indices = indices, .dx = dx.tensor, .accumulate = dx.accumulate});
    });
    return y;
}

}  // namespace locus
