// y = w2 max(0, w1 x + b1) by distance, perhaps through ceiling * sigmoid;   all gradients.   kernels/bias_network.h
#include "kernels/bias_network.h"

#include "model/autograd/operation_cost.h"
#include "model/autograd/operations.h"

namespace locus {

Var bias_network(Tape& tape, const BiasNetworkInputs& in, double ceiling) {
    const std::int64_t hidden = in.w2.shape()[1];
    const BiasNetwork network = {.x = in.x.value(),
                                 .w1 = in.w1.value().reshape({hidden}),
                                 .b1 = in.b1.value(),
                                 .w2 = in.w2.value(),
                                 .ceiling = ceiling};
    const Tensor value = tape.allocate({in.w2.shape()[0], in.x.shape()[0]}, in.x.value().dtype);
    bias_network_forward({.network = network, .y = value});
    const Var y = tape.variable(value);
    const Cost product = multiply_adds(y.value().count() * hidden);
    const OperationCost cost = {.forward = product + moves(in.x, in.w2, y),
                                .backward = 3 * product + moves(y, in.x, in.w2, in.w2)};
    tape.record(cost, [&tape, in, network, hidden, y] {
        const Tensor dy = tape.gradient_of(y);
        if (!dy) return;
        bias_network_backward({.network = network,
                               .y = y.value(),
                               .dy = dy,
                               .gradients = {.x = tape.needs_gradient(in.x) ? tape.gradient_sum(in.x) : Tensor(),
                                             .w1 = tape.gradient_sum(in.w1).reshape({hidden}),
                                             .b1 = tape.gradient_sum(in.b1),
                                             .w2 = tape.gradient_sum(in.w2)}});
    });
    return y;
}

}  // namespace locus
