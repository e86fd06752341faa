// logits = x W^T + bias,  loss = cross-entropy against the targets.   kernels/cross_entropy.h
//   dlogits = scale (softmax(logits) - onehot),  dx = dlogits W,  dW += dlogits^T x,  dbias += sum_rows(dlogits)
// The logits [rows, vocabulary] are the largest tensor of a step: the gradient takes their place at once, during the forward pass.
// Where x is bfloat16 they are float32 all the same: a large logit has no digits to spare.
#include "kernels/cross_entropy.h"
#include "kernels/matmul.h"
#include "model/autograd/operation_cost.h"
#include "model/autograd/operations.h"
#include "model/autograd/product.h"

namespace locus {

MaskedLoss masked_cross_entropy(Tape& tape, Var x, Var weight, Var bias, Tensor targets, double scale) {
    const std::int64_t rows = x.shape()[0];
    const Tensor logits = tape.allocate({rows, weight.shape()[0]}, arithmetic_of(x.value().dtype));
    matmul(
        {.a = x.value(), .b = weight.value(), .c = logits, .transpose_b = true, .bfloat16 = tape.bfloat16_products()});
    // When this runs, the logits have become their gradient.
    tape.record(product_cost(tape, x, weight),
                [&tape, x, weight, logits] { product_backward(tape, logits, x, weight); });

    tape.enter(Phase::cross_entropy);
    const Tensor loss = tape.allocate({rows}, DType::float64), correct = tape.allocate({rows}, DType::int32);
    cross_entropy({.logits = logits,
                   .bias = bias.value(),
                   .targets = tape.resident(targets),
                   .loss = loss,
                   .correct = correct,
                   .gradient = tape.recording(),
                   .scale = scale,
                   .dbias = tape.recording() ? tape.gradient_sum(bias) : Tensor()});
    tape.record({.forward = moves(logits, logits)}, [] {});
    return {loss, correct};
}

MaskedLoss on_host(Tape& tape, const MaskedLoss& there) {
    return {tape.on_host(there.loss), tape.on_host(there.correct)};
}

}  // namespace locus
