// y = [a | b];   da, db = their columns of dy.   kernels/copy_columns.h
#include "kernels/copy_columns.h"
#include "model/autograd/operation_cost.h"
#include "model/autograd/operations.h"

namespace locus {

Var concatenate_columns(Tape& tape, Var a, Var b) {
    const std::int64_t middle = a.shape()[1], end = middle + b.shape()[1];
    const Tensor value = tape.allocate({a.shape()[0], end}, a.value().dtype);
    copy_columns({.x = a.value(), .y = value.slice(1, 0, middle)});
    copy_columns({.x = b.value(), .y = value.slice(1, middle, end)});
    const Var y = tape.variable(value);
    tape.record({.forward = moves(a, b, y), .backward = moves(y, a, b)}, [&tape, a, b, middle, end, y] {
        const Tensor dy = tape.gradient_of(y);
        if (!dy) return;
        const auto pass_on = [&](Var input, std::int64_t from, std::int64_t to) {
            if (!tape.needs_gradient(input)) return;
            const GradientTarget target = tape.gradient_target(input);
            copy_columns({.x = dy.slice(1, from, to), .y = target.tensor, .accumulate = target.accumulate});
        };
        pass_on(a, 0, middle);
        pass_on(b, middle, end);
    });
    return y;
}

}  // namespace locus
