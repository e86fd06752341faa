#pragma once
// KERPLE's bias: a falling function of the distance with two learned numbers per head.
//
//   forward    bias[h, r] = -p ln(1 + a |r|)      logarithm
//              bias[h, r] = -a |r|^p              power
//              a = softplus(A[s, h]) = ln(1 + e^A),  p = softplus(P[s, h]), for the power p = 2 / (1 + e^-P) instead, which stays below 2
//              s = side: with two sides, 0 for r > 0 (the key stands to the left), 1 for r < 0; distance 0 costs nothing
//   backward   dA[s, h] += da/dA sum_r dbias[h, r] d bias / da,  likewise dP:
//              logarithm  d/da = -p |r| / (1 + a |r|),  d/dp = -ln(1 + a |r|)
//              power      d/da = -|r|^p,                d/dp = -a |r|^p ln |r|
//
// shapes   A, P, dA, dP: [sides, heads], sides 1 or 2   bias, dbias: [heads, 2 reach + 1], distance r = -reach .. reach
// saved    nothing
// cost     a logarithm or a power per distance and head, in float64: a handful of numbers, made once for all pairs at that distance
// order    the sum over distances runs in one order

#include "kernels/tensor.h"

namespace locus {

struct Kerple {
    Tensor a, p;    // A, P
    bool power;     // else: logarithm
    Tensor bias;    // out; backward: its gradient
    Tensor da, dp;  // backward: dA, dP, added to
};
void kerple_forward(const Kerple& args);
void kerple_backward(const Kerple& args);

}  // namespace locus
