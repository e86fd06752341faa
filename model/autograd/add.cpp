// y = a + b;   da = dy,   db = dy.   kernels/add.h
#include "kernels/add.h"

#include "kernels/device.h"
#include "model/autograd/operation_cost.h"
#include "model/autograd/operations.h"

namespace locus {
namespace {

void pass_on(Tape& tape, const Tensor& dy, Var input) {
    if (!tape.needs_gradient(input)) return;
    const GradientTarget target = tape.gradient_target(input);
    if (target.accumulate) {
        add({.x = dy, .y = target.tensor});
    } else {
        copy(dy, target.tensor);
    }
}

}  // namespace

Var add(Tape& tape, Var a, Var b) {
    const Tensor value = tape.allocate(a.shape(), a.value().dtype);
    copy(a.value(), value);
    add({.x = b.value(), .y = value});
    const Var y = tape.variable(value);
    tape.record({.forward = moves(a, b, y), .backward = moves(y, a, b)}, [&tape, a, b, y] {
        const Tensor dy = tape.gradient_of(y);
        if (!dy) return;
        pass_on(tape, dy, a);
        pass_on(tape, dy, b);
    });
    return y;
}

}  // namespace locus
