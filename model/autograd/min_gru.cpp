// h = the states of a minimal GRU along x's sequences, one direction beside the other;   dx through time.   kernels/min_gru.h
#include "kernels/min_gru.h"

#include "model/autograd/operation_cost.h"
#include "model/autograd/operations.h"

namespace locus {

Var min_gru(Tape& tape, Var x, const AttentionRows& host_rows, std::int64_t directions) {
    const AttentionRows rows = tape.resident(host_rows);
    const std::int64_t states = x.shape()[1] / (2 * directions);
    const Tensor value = tape.allocate({x.shape()[0], directions * states}, x.value().dtype);
    const auto part = [](const Tensor& whole, std::int64_t n, std::int64_t columns) {
        return whole.slice(1, n * columns, (n + 1) * columns);
    };
    for (std::int64_t n = 0; n < directions; ++n) {
        min_gru_forward(
            {.x = part(x.value(), n, 2 * states), .rows = rows, .reverse = n == 1, .h = part(value, n, states)});
    }
    const Var y = tape.variable(value);
    tape.record({.forward = moves(x, y), .backward = moves(y, x, y, x)}, [&tape, x, y, rows, directions, states, part] {
        const Tensor dy = tape.gradient_of(y);
        if (!dy || !tape.needs_gradient(x)) return;
        const GradientTarget dx = tape.gradient_target(x);
        for (std::int64_t n = 0; n < directions; ++n) {
            min_gru_backward({.dh = part(dy, n, states),
                              .x = part(x.value(), n, 2 * states),
                              .h = part(y.value(), n, states),
                              .rows = rows,
                              .reverse = n == 1,
                              .dx = part(dx.tensor, n, 2 * states),
                              .accumulate = dx.accumulate});
        }
    });
    return y;
}

}  // namespace locus
