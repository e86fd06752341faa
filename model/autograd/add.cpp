// y = a + b;   da = dy,   db = dy.   kernels/add.h
#include "kernels/add.h"

#include <cstring>

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
        std::memcpy(target.tensor.data, dy.data, static_cast<std::size_t>(dy.bytes()));
    }
}

}  // namespace

Var add(Tape& tape, Var a, Var b) {
    const Tensor value = tape.allocate(a.shape(), a.value().dtype);
    std::memcpy(value.data, a.value().data, static_cast<std::size_t>(value.bytes()));
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
