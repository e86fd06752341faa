// points = start, carried along by a network;   dstart and the weights' gradients by the same steps backwards.   kernels/flow.h
#include "kernels/flow.h"

#include "model/autograd/operation_cost.h"
#include "model/autograd/operations.h"

namespace locus {

Var flow(Tape& tape, Var start, const FlowVariables& network, const FlowSteps& steps, std::int64_t points) {
    const std::int64_t columns = start.value().count(), width = network.in_bias.value().count();
    const std::int64_t evaluations = steps.evaluations(points);
    const DType dtype = start.value().dtype;
    const FlowNetwork values = {network.in_weight.value(), network.time_weight ? network.time_weight.value() : Tensor(),
                                network.in_bias.value(), network.out_weight.value(), network.out_bias.value()};
    const Tensor value = tape.allocate({points, columns}, dtype);
    const Tensor asked = tape.allocate({evaluations, columns}, dtype);
    const Tensor tanh = tape.allocate({evaluations, width}, dtype);
    flow_forward({.network = values,
                  .steps = steps,
                  .start = start.value(),
                  .points = value,
                  .asked = asked,
                  .tanh = tanh,
                  .arena = &tape.arena()});
    const Var y = tape.variable(value);
    const Cost products = 2 * multiply_adds(evaluations * columns * width);
    const OperationCost cost = {.forward = products + moves(asked, tanh, y),
                                .backward = 2 * products + moves(y, asked, tanh)};
    tape.record(cost, [&tape, start, network, values, steps, asked, tanh, y] {
        const Tensor dy = tape.gradient_of(y);
        if (!dy) return;
        flow_backward({.network = values,
                       .steps = steps,
                       .dpoints = dy,
                       .asked = asked,
                       .tanh = tanh,
                       .dnetwork = {tape.gradient_sum(network.in_weight),
                                    network.time_weight ? tape.gradient_sum(network.time_weight) : Tensor(),
                                    tape.gradient_sum(network.in_bias), tape.gradient_sum(network.out_weight),
                                    tape.gradient_sum(network.out_bias)},
                       .dstart = tape.gradient_sum(start),
                       .arena = &tape.arena()});
    });
    return y;
}

}  // namespace locus
