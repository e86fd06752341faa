#pragma once
// One AdamW step over all parameters, and the gradient norm that clipping needs. The norm need not pass through the processor: one kernel leaves
// it where the parameters lie, the other reads it there.
//
//   g' = min(1, clip / norm) * g,   norm = sqrt(squares)
//   m = b1 m + (1 - b1) g';   v = b2 v + (1 - b2) g'^2
//   p = p - lr * ( (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps) + decay * p_before )
//
// shapes   parameter, gradient, m, v: [n], contiguous
// decay    neighbours that agree about it are a run; run r is run_ends[r - 1] .. run_ends[r] - 1, and every second run decays
// cost     28 bytes per parameter in float32: memory bound
// paper    Loshchilov and Hutter 2019, arXiv:1711.05101; Kingma and Ba 2015, arXiv:1412.6980. The order of operations is PyTorch's:
//          the parameter is first scaled by (1 - lr * decay).

#include "kernels/tensor.h"

namespace locus {

struct AdamW {
    Tensor parameter, gradient, m, v;
    Tensor squares =
        {};  // float64 [1], as sum_of_squares() left it: when it is not finite, nothing changes. Absent: never clipped
    Tensor run_ends = {};  // int32 [runs], rising, the last is n. Absent: one run
    bool first_run_decays = true;
    double learning_rate = 1e-3;
    double beta1 = 0.9, beta2 = 0.999;
    double epsilon = 1e-8;
    double weight_decay = 0.0;
    double clip = 0.0;      // largest norm of the gradient; 0: any
    std::int64_t step = 1;  // t, from 1
};
void adamw(const AdamW& args);

/// Sum of squares of x [n], in double, by blocks of fixed size in block order (the same bits for any thread count). A sum that is not finite
/// stays until its owner sets it to 0: steps that are queued behind a bad one then change nothing either.
struct SumOfSquares {
    Tensor x;
    Tensor result;  // float64 [1], in and out
};
void sum_of_squares(const SumOfSquares& args);

}  // namespace locus
