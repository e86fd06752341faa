// h = the states of a recurrent net over x's rows, one direction beside the other;   dx, dU, db, dstart through time.   kernels/recurrent.h
#include "kernels/recurrent.h"

#include <array>

#include "model/autograd/operation_cost.h"
#include "model/autograd/operations.h"

namespace locus {
namespace {

constexpr std::size_t max_directions = 2;

// What a direction keeps for its backward pass.
struct Passed {
    RecurrentDirection direction;
    RecurrentForward forward;
};

void backward(Tape& tape, const Passed& passed, const Tensor& dy, const Tensor& dx, bool accumulate) {
    const RecurrentDirection& direction = passed.direction;
    recurrent_backward({.cell = passed.forward.cell,
                        .dy = dy,
                        .weight = passed.forward.weight,
                        .rows = passed.forward.rows,
                        .reverse = passed.forward.reverse,
                        .before = passed.forward.before,
                        .gates = passed.forward.gates,
                        .memory = passed.forward.memory,
                        .dx = dx,
                        .accumulate = accumulate,
                        .dweight = tape.gradient_sum(direction.weight),
                        .dbias = tape.gradient_sum(direction.bias),
                        .dstart = direction.start ? tape.gradient_sum(direction.start) : Tensor(),
                        .arena = &tape.arena()});
}

}  // namespace

Var recurrent(Tape& tape, Var x, Cell cell, std::initializer_list<RecurrentDirection> directions,
              const AttentionRows& rows) {
    LOCUS_CHECK(directions.size() >= 1 && directions.size() <= max_directions, "recurrent", "takes 1 or 2 directions");
    const std::int64_t count = x.shape()[0], states = directions.begin()->weight.shape()[1];
    const std::int64_t width = gates_of(cell) * states;
    const DType dtype = x.value().dtype;
    const Tensor value = tape.allocate({count, static_cast<std::int64_t>(directions.size()) * states}, dtype);
    std::array<Passed, max_directions> passed = {};
    std::int64_t number = 0;
    for (const RecurrentDirection& direction : directions) {
        const RecurrentForward forward = {.cell = cell,
                                          .x = x.value().slice(1, number * width, (number + 1) * width),
                                          .weight = direction.weight.value(),
                                          .bias = direction.bias.value(),
                                          .start = direction.start ? direction.start.value() : Tensor(),
                                          .rows = tape.resident(rows),
                                          .reverse = direction.reverse,
                                          .h = value.slice(1, number * states, (number + 1) * states),
                                          .before = tape.allocate({count, states}, dtype),
                                          .gates = tape.allocate({count, width}, dtype),
                                          .memory = tape.allocate({count, states}, dtype)};
        recurrent_forward(forward);
        passed[static_cast<std::size_t>(number++)] = {direction, forward};
    }
    const Var y = tape.variable(value);
    const Cost products = multiply_adds(number * count * width * states);
    // The gates are as large as x; what was before and the memory are as large as y.
    const OperationCost cost = {.forward = products + moves(x, x, y, y, y),
                                .backward = 2 * products + moves(y, x, y, y, x)};
    tape.record(cost, [&tape, x, y, passed, number, states, width] {
        const Tensor dy = tape.gradient_of(y);
        if (!dy) return;
        const GradientTarget dx = tape.gradient_target(x);
        for (std::int64_t n = 0; n < number; ++n) {
            backward(tape, passed[static_cast<std::size_t>(n)], dy.slice(1, n * states, (n + 1) * states),
                     dx.tensor.slice(1, n * width, (n + 1) * width), dx.accumulate);
        }
    });
    return y;
}

}  // namespace locus
