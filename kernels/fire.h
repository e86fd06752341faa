#pragma once
// FIRE's distances: logarithmic, and divided by that of the longest distance, so that they stay in [-1, 1] at any length.
//
//   forward    psi(s) = ln(1 + |c| s),  c = slope * C,  t = |threshold * T|,  m = max(longest - 1, t)
//              x[r]   = side * psi(|r|) / (psi(m) + 1e-6),   side = -1 for r > 0 (the key stands to the left) if signed, else 1
//   backward   with dpsi(s)/dc = sign(c) s / (1 + |c| s),  N = psi(m) + 1e-6:
//              dC += slope sum_r dx[r] side (dpsi(|r|)/dc N - psi(|r|) dpsi(m)/dc) / N^2
//              dT += threshold sign(threshold T) sum_r dx[r] * -x[r] / N * |c| / (1 + |c| m)       where m = t, else 0
//
// shapes   C, T, dC, dT: [1]   x, dx: [2 longest - 1], distance r = 1 - longest .. longest - 1
// saved    nothing
// cost     a logarithm per distance, in float64

#include "kernels/tensor.h"

namespace locus {

struct FireDistances {
    Tensor c, t;  // C, T
    double slope = 1, threshold = 1;
    bool is_signed = true;
    Tensor x;       // out; backward: its gradient
    Tensor dc, dt;  // backward: dC, dT, added to
};
void fire_distances_forward(const FireDistances& args);
void fire_distances_backward(const FireDistances& args);

}  // namespace locus
