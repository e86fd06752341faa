// y[r] = x of r's neighbours;   dx = what each row was to its neighbours.   kernels/unfold.h
#include "kernels/unfold.h"

#include "model/autograd/operation_cost.h"
#include "model/autograd/operations.h"

namespace locus {

Var unfold(Tape& tape, Var x, std::int64_t width, const AttentionRows& host_rows) {
    const AttentionRows rows = tape.resident(host_rows);
    const Tensor value = tape.allocate({x.shape()[0], x.shape()[1] * width}, x.value().dtype);
    unfold_forward({.x = x.value(), .rows = rows, .width = width, .y = value});
    const Var y = tape.variable(value);
    tape.record({.forward = moves(x, y), .backward = moves(y, x)}, [&tape, x, width, rows, y] {
        const Tensor dy = tape.gradient_of(y);
        if (!dy || !tape.needs_gradient(x)) return;
        const GradientTarget dx = tape.gradient_target(x);
        unfold_backward({.dy = dy, .rows = rows, .width = width, .dx = dx.tensor, .accumulate = dx.accumulate});
    });
    return y;
}

}  // namespace locus
