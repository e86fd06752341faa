// y = x, its first columns turned head by head;   dx = dy turned back.   kernels/rotary.h
#include "kernels/rotary.h"

#include "model/autograd/operation_cost.h"
#include "model/autograd/operations.h"

namespace locus {

Var rotary_in_place(Tape& tape, Var x, std::int64_t columns, const RotaryAngles& angles) {
    const Rotary turn = {.x = x.value(),
                         .positions = tape.resident(angles.positions),
                         .cosines = tape.resident(angles.cosines),
                         .sines = tape.resident(angles.sines),
                         .columns = columns,
                         .head_dim = angles.head_dim,
                         .interleaved = angles.interleaved};
    rotary(turn);
    const Var y = tape.variable(x.value());
    const std::int64_t turned = x.shape()[0] * columns * size_of(x.value().dtype);
    const Cost cost = {.bytes = 2 * static_cast<double>(turned)};
    tape.record({.forward = cost, .backward = cost}, [&tape, x, y, turn] {
        const Tensor dy = tape.gradient_of(y);
        if (!dy || !tape.needs_gradient(x)) return;
        Rotary back = turn;
        back.x = dy;
        back.inverse = true;
        rotary(back);
        Tape::hand_over_gradient(y, x);
    });
    return y;
}

}  // namespace locus
