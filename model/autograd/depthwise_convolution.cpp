// y = each channel of x convolved with its own taps;   dx, dweight, dbias: the same taps the other way.   kernels/depthwise_convolution.h
#include "kernels/depthwise_convolution.h"

#include "model/autograd/operation_cost.h"
#include "model/autograd/operations.h"

namespace locus {

Var depthwise_convolution(Tape& tape, Var x, Var weight, Var bias, const AttentionRows& host_rows, Edges edges) {
    const AttentionRows rows = tape.resident(host_rows);
    const Tensor value = tape.allocate(x.shape(), x.value().dtype);
    depthwise_convolution_forward({.x = x.value(),
                                   .weight = weight.value(),
                                   .bias = bias ? bias.value() : Tensor(),
                                   .rows = rows,
                                   .edges = edges,
                                   .y = value});
    const Var y = tape.variable(value);
    const Cost taps = multiply_adds(y.value().count() * weight.shape()[1]);
    const OperationCost cost = {.forward = taps + moves(x, y), .backward = 2 * taps + moves(y, x, x)};
    tape.record(cost, [&tape, x, weight, bias, rows, edges, y] {
        const Tensor dy = tape.gradient_of(y);
        if (!dy) return;
        const GradientTarget dx = tape.gradient_target(x);
        depthwise_convolution_backward({.dy = dy,
                                        .x = x.value(),
                                        .weight = weight.value(),
                                        .rows = rows,
                                        .edges = edges,
                                        .dx = dx.tensor,
                                        .accumulate = dx.accumulate,
                                        .dweight = tape.gradient_sum(weight),
                                        .dbias = bias ? tape.gradient_sum(bias) : Tensor(),
                                        .arena = &tape.arena()});
    });
    return y;
}

}  // namespace locus
