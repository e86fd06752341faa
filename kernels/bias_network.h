#pragma once
// A small network from one number per distance to one number per head: the bias of FIRE and of the log-spaced continuous position bias.
//
//   forward    hidden[m, d] = max(0, w1[m] x[d] + b1[m])
//              z[h, d]      = sum_m w2[h, m] hidden[m, d]
//              y[h, d]      = z, or ceiling / (1 + e^-z) when there is a ceiling
//              There is no second bias: it would add the same to all scores of a row, which their softmax does not see
//   backward   dz = dy, or dy y (1 - y / ceiling);   dw2[h, m] += sum_d dz[h, d] hidden[m, d]
//              where hidden[m, d] > 0:  g[m, d] = sum_h w2[h, m] dz[h, d];   dw1[m] += sum_d g x[d],   db1[m] += sum_d g,   dx[d] += sum_m g w1[m]
//
// shapes   x: [D]   w1, b1: [M]   w2: [H, M]   y, dy: [H, D]; contiguous
// saved    y; hidden is computed again
// cost     2 M D H flop forward, three times that backward. Not a matrix product: its operands are never rounded, since neighbouring
//          distances would fall together in bfloat16
// order    every sum runs in one order

#include "kernels/tensor.h"

namespace locus {

struct BiasNetwork {
    Tensor x, w1, b1, w2;
    double ceiling = 0;  // 0: none
};

struct BiasNetworkForward {
    BiasNetwork network;
    Tensor y;  // out
};
void bias_network_forward(const BiasNetworkForward& args);

struct BiasNetworkBackward {
    BiasNetwork network;
    Tensor y, dy;
    BiasNetwork gradients;  // added to; x may be absent
};
void bias_network_backward(const BiasNetworkBackward& args);

}  // namespace locus
