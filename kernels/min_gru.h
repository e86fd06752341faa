#pragma once
// A GRU whose gates do not see the state: what makes the step from one token to the next is known for all tokens at once, and the recurrence is
// linear, each channel by itself.
//
//   forward    z = s(k),  g = v + 1/2 where v >= 0 and s(v) elsewhere,  h_t = (1 - z_t) h_{t-1} + z_t g_t,  h_{-1} = 0      s: logistic
//   backward   d_t = dh_t + (1 - z_{t+1}) d_{t+1};   dk = d (g - h_{t-1}) z (1 - z),   dv = d z g'(v)
//
// k and v are the halves of x: one product of all tokens. z and g are made again in the backward pass instead of kept.
//
// shapes   x, dx: [rows, 2 C] = k | v   h, dh: [rows, C]; all perhaps columns of wider matrices
//          reverse: the sequences are read from the last token to the first
// cost     about 30 flop and 3 numbers per row and channel, vectorised over channels, parallel over sequences and blocks of channels. Along
//          the sequence it is a scan; g > 0 keeps the states positive for those who run it over logarithms, on the processor it is run as written
// paper    Feng et al. 2024, arXiv:2410.01201

#include "kernels/attention.h"
#include "kernels/tensor.h"

namespace locus {

struct MinGruForward {
    Tensor x;
    AttentionRows rows;
    bool reverse = false;
    Tensor h;  // out
};
void min_gru_forward(const MinGruForward& args);

struct MinGruBackward {
    Tensor dh, x, h;
    AttentionRows rows;
    bool reverse = false;
    Tensor dx;  // added to, or overwritten
    bool accumulate = false;
};
void min_gru_backward(const MinGruBackward& args);

}  // namespace locus
