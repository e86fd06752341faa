// y = x, its first columns turned head by head;   dx = dy turned back.   kernels/rotary.h
#include "kernels/rotary.h"

#include "model/autograd/operation_cost.h"
#include "model/autograd/operations.h"

namespace locus {

Var rotary(Tape& tape, Var x, std::int64_t columns, const RotaryAngles& angles) {
    const Tensor value = tape.allocate(x.shape(), x.value().dtype);
    Rotary forward = {.x = x.value(),
                      .positions = angles.positions,
                      .cosines = angles.cosines,
                      .sines = angles.sines,
                      .columns = columns,
                      .head_dim = angles.head_dim,
                      .interleaved = angles.interleaved,
                      .y = value};
    rotary(forward);
    const Var y = tape.variable(value);
    tape.record({.forward = moves(x, y), .backward = moves(y, x)}, [&tape, x, y, forward] {
        const Tensor dy = tape.gradient_of(y);
        if (!dy || !tape.needs_gradient(x)) return;
        const GradientTarget dx = tape.gradient_target(x);
        Rotary backward = forward;
        backward.x = dy;
        backward.y = dx.tensor;
        backward.inverse = true;
        backward.accumulate = dx.accumulate;
        rotary(backward);
    });
    return y;
}

}  // namespace locus
