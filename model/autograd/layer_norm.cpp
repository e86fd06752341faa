// y = layer_norm(drop(x) + residual).   kernels/layer_norm.h
#include "kernels/layer_norm.h"

#include "model/autograd/operation_cost.h"
#include "model/autograd/operations.h"

namespace locus {
namespace {

// sum: where drop(x) + residual goes, possibly the value of x
Var normalised(Tape& tape, Var x, Var residual, Var gamma, Var beta, double epsilon, const Dropout& dropout,
               const DropoutRows& host_rows, const Tensor& sum) {
    const DropoutRows rows = tape.resident(host_rows);
    const Shape shape = x.shape();
    const DType dtype = x.value().dtype;
    const Tensor value = tape.allocate(shape, dtype);
    const Tensor mean = tape.allocate({shape[0]}, arithmetic_of(dtype)),
                 rstd = tape.allocate({shape[0]}, arithmetic_of(dtype));
    layer_norm_forward({.x = x.value(),
                        .residual = residual ? residual.value() : Tensor(),
                        .gamma = gamma.value(),
                        .beta = beta.value(),
                        .epsilon = epsilon,
                        .dropout = dropout,
                        .rows = rows,
                        .sum = sum,
                        .y = value,
                        .mean = mean,
                        .rstd = rstd});
    const Var y = tape.variable(value);
    const OperationCost cost = {.forward = moves(x, residual, sum, y), .backward = moves(y, sum, x, residual)};
    tape.record(cost, [&tape, x, residual, gamma, beta, dropout, rows, sum, mean, rstd, y] {
        const Tensor dy = tape.gradient_of(y);
        if (!dy) return;
        // x and residual may be one variable: ask for the residual's target first, so that dx then adds to it.
        const GradientTarget dresidual = residual ? tape.gradient_target(residual) : GradientTarget{};
        const GradientTarget dx = tape.gradient_target(x);
        layer_norm_backward({.dy = dy,
                             .sum = sum,
                             .gamma = gamma.value(),
                             .mean = mean,
                             .rstd = rstd,
                             .dropout = dropout,
                             .rows = rows,
                             .dx = dx.tensor,
                             .dresidual = dresidual.tensor,
                             .accumulate_dx = dx.accumulate,
                             .accumulate_dresidual = dresidual.accumulate,
                             .dgamma = tape.gradient_sum(gamma),
                             .dbeta = tape.gradient_sum(beta)});
    });
    return y;
}

}  // namespace

Var layer_norm(Tape& tape, Var x, Var residual, Var gamma, Var beta, double epsilon, const Dropout& dropout,
               const DropoutRows& rows) {
    const Tensor sum = tape.allocate(x.shape(), x.value().dtype);
    return normalised(tape, x, residual, gamma, beta, epsilon, dropout, rows, sum);
}

Var layer_norm_in_place(Tape& tape, Var x, Var residual, Var gamma, Var beta, double epsilon, const Dropout& dropout,
                        const DropoutRows& rows) {
    LOCUS_CHECK(!(x == residual), "layer_norm_in_place", "the residual is read again, so it cannot be x");
    return normalised(tape, x, residual, gamma, beta, epsilon, dropout, rows, x.value());
}

}  // namespace locus
