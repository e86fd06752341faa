#pragma once
// Softmax and cross-entropy over the vocabulary, gradient in place or, on a GPU, beside the logits.
//
//   p_v = exp(x_v + bias_v - max) / sum;   loss_r = -log p_target;   dx_v = scale * (p_v - [v = target])
//
// shapes   logits: [rows, V] in, rows may be strided; overwritten by dx when `gradient` is set   bias, dbias: [V]   targets: int32 [rows]
//          dlogits: [rows, V], rows may be strided; on a GPU dx may go there instead, float32 or bfloat16; else absent or the logits
//          loss: float64 [rows], nats   correct: int32 [rows], 1 where the target has the largest logit (the first of equals counts)
// scale    1 / (masked tokens of the whole step): a mean over micro-batches of different size would be wrong
// order    each row is one thread's, on a GPU one block's; dbias by column sums in fixed blocks
// errors   a target outside [0, V) throws std::out_of_range, on a GPU from the next wait for the device.
//          Logits that are not finite give a loss of NaN and a gradient of NaN, so that the gradients' norm shows it too: nothing is repaired here
// cost     reads the logits twice, on a GPU once, and writes them once. A GPU is faster where rows begin at multiples of 8 numbers

#include "kernels/tensor.h"

namespace locus {

struct CrossEntropy {
    Tensor logits;
    Tensor bias = {};  // optional
    Tensor targets;
    Tensor loss, correct;  // out
    bool gradient = false;
    Tensor dlogits = {};  // optional: where the gradient goes, if not to the logits
    double scale = 1.0;
    Tensor dbias = {};  // optional [V], added to
};
void cross_entropy(const CrossEntropy& args);

}  // namespace locus
