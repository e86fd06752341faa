#pragma once
// One AdamW step over a contiguous run of parameters, and the gradient norm that clipping needs.
//
//   g' = clip * g
//   m = b1 m + (1 - b1) g';   v = b2 v + (1 - b2) g'^2
//   p = p - lr * ( (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps) + decay * p_before )
//
// shapes   all [n], contiguous
// cost     28 bytes per parameter in float32: memory bound
// paper    Loshchilov and Hutter 2019, arXiv:1711.05101; Kingma and Ba 2015, arXiv:1412.6980. The order of operations is PyTorch's:
//          the parameter is first scaled by (1 - lr * decay).

#include "kernels/tensor.h"

namespace locus {

struct AdamW {
    Tensor parameter, gradient, m, v;
    double learning_rate = 1e-3;
    double beta1 = 0.9, beta2 = 0.999;
    double epsilon = 1e-8;
    double weight_decay = 0.0;
    double clip = 1.0;      // factor on the gradient
    std::int64_t step = 1;  // t, from 1
};
void adamw(const AdamW& args);

/// Sum of squares of x [n], in double, by blocks of fixed size in block order (the same bits for any thread count).
struct SumOfSquares {
    Tensor x;
    double* result;  // out
};
void sum_of_squares(const SumOfSquares& args);

}  // namespace locus
