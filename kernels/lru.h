#pragma once
// The recurrence of a linear recurrent unit: complex numbers, each turned and shrunk by a factor of its own at every step.
//
//   forward    s_t = l s_{t-1} + c u_t,   s_{-1} = 0,   l = exp(-exp(nu) + i exp(phi)),   c = exp(log_c)
//              |l| < 1 for every nu: the states cannot grow without bound
//   backward   d_t = ds_t + conj(l) d_{t+1};   du = c d;   with G = sum_t d_t conj(s_{t-1}), a complex number,
//              dnu += -exp(nu) Re(conj(G) l),   dphi += exp(phi) Re(conj(G) i l),   dlog_c += c sum_t Re(conj(d_t) u_t)
//
// shapes   u, s, ds, du: [rows, 2 M], M real parts and then M imaginary parts, perhaps columns of wider matrices
//          nu, phi, log_c: [M]
//          reverse: the sequences are read from the last token to the first
// order    sums over t are taken per sequence, then over the sequences in their order: the same bits for any number of threads
// cost     8 flop per row and complex number, vectorised over them, parallel over sequences and blocks of numbers
// paper    Orvieto et al. 2023, arXiv:2303.06349, section 3

#include "kernels/attention.h"
#include "kernels/memory.h"
#include "kernels/tensor.h"

namespace locus {

struct LruForward {
    Tensor u, nu, phi, log_c;
    AttentionRows rows;
    bool reverse = false;
    Tensor s;  // out
};
void lru_forward(const LruForward& args);

struct LruBackward {
    Tensor ds, u, nu, phi, log_c, s;
    AttentionRows rows;
    bool reverse = false;
    Tensor du;  // added to, or overwritten
    bool accumulate = false;
    Tensor dnu, dphi, dlog_c;  // added to
    Arena* arena = nullptr;    // scratch
};
void lru_backward(const LruBackward& args);

}  // namespace locus
