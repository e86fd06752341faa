// y = drop(x);   dx = drop(dy): the same mask, drawn again.   kernels/dropout.h
#include "kernels/dropout.h"

#include "kernels/add.h"
#include "model/autograd/operation_cost.h"
#include "model/autograd/operations.h"

namespace locus {

Var dropout(Tape& tape, Var x, const Dropout& dropout, const DropoutRows& host_rows) {
    if (!dropout) return x;
    const DropoutRows rows = tape.resident(host_rows);
    const Tensor value = tape.allocate(x.shape(), x.value().dtype);
    dropout_forward({.x = x.value(), .y = value, .dropout = dropout, .rows = rows});
    const Var y = tape.variable(value, tape.needs_gradient(x));
    tape.record({.forward = moves(x, y), .backward = moves(y, x)}, [&tape, x, dropout, rows, y] {
        const Tensor dy = tape.gradient_of(y);
        if (!dy || !tape.needs_gradient(x)) return;
        const GradientTarget dx = tape.gradient_target(x);
        // When another consumer has written dx already, the dropped gradient is made in place of dy, which nobody reads any more.
        dropout_forward({.x = dy, .y = dx.accumulate ? dy : dx.tensor, .dropout = dropout, .rows = rows});
        if (dx.accumulate) add({.x = dy, .y = dx.tensor});
    });
    return y;
}

}  // namespace locus
