// logits = x W^T + bias,  loss = cross-entropy against the targets.   kernels/cross_entropy.h
//   dlogits = scale (softmax(logits) - onehot),  dx = dlogits W,  dW += dlogits^T x,  dbias += sum_rows(dlogits)
// The logits [rows, vocabulary] are the largest tensor of a step: the gradient takes their place at once, during the forward pass.
// Where x is bfloat16 they are float32 all the same: a large logit has no digits to spare. Their gradient has, and the products would round it: it is
// stored as bfloat16, beside them.
#include "kernels/cross_entropy.h"
#include "kernels/matmul.h"
#include "model/autograd/operation_cost.h"
#include "model/autograd/operations.h"
#include "model/autograd/product.h"

namespace locus {

namespace {

// Rows that begin where eight numbers can be moved at once, whatever the size of the vocabulary.
Tensor even_rows(Tape& tape, Shape shape, DType dtype) {
    return tape.allocate({shape[0], (shape[1] + 7) / 8 * 8}, dtype).slice(1, 0, shape[1]);
}

// Where the gradient of the logits goes.
Tensor place_for_gradient(Tape& tape, const Tensor& logits) {
    const DType dtype = tape.activation_dtype(logits.dtype);
    if (!tape.recording() || dtype == logits.dtype) return logits;
    return even_rows(tape, logits.shape, dtype);
}

}  // namespace

MaskedLoss masked_cross_entropy(Tape& tape, Var x, Var weight, Var bias, Tensor targets, double scale) {
    const std::int64_t rows = x.shape()[0];
    const Tensor logits = even_rows(tape, {rows, weight.shape()[0]}, arithmetic_of(x.value().dtype));
    const Tensor dlogits = place_for_gradient(tape, logits);
    matmul({.a = x.value(), .b = weight.operand(), .c = logits, .transpose_b = true, .rounding = tape.rounding()});
    // When this runs, the gradient is there.
    tape.record(product_cost(tape, x, weight),
                [&tape, x, weight, dlogits] { product_backward(tape, dlogits, x, weight); });

    tape.enter(Phase::cross_entropy);
    const Tensor loss = tape.allocate({rows}, DType::float64), correct = tape.allocate({rows}, DType::int32);
    cross_entropy({.logits = logits,
                   .bias = bias.value(),
                   .targets = tape.resident(targets),
                   .loss = loss,
                   .correct = correct,
                   .gradient = tape.recording(),
                   .dlogits = dlogits,
                   .scale = scale,
                   .dbias = tape.recording() ? tape.gradient_sum(bias) : Tensor()});
    tape.record({.forward = moves(logits, logits)}, [] {});
    return {loss, correct};
}

MaskedLoss on_host(Tape& tape, const MaskedLoss& there) {
    return {tape.on_host(there.loss), tape.on_host(there.correct)};
}

}  // namespace locus
