#pragma once
// Layer normalisation, fused with the dropout and the residual addition that stand before it in a post-LN block.
//
//   forward    s = dropout(x) + residual            (either may be absent)
//              xhat = (s - mean) * rstd,  rstd = 1 / sqrt(var + eps),  y = gamma * xhat + beta
//   backward   g = gamma * dy;  ds = rstd * (g - mean(g) - xhat * mean(g * xhat))
//              dresidual = ds;  dx = dropout'(ds);  dgamma += sum_rows(dy * xhat);  dbeta += sum_rows(dy)
//
// shapes     x, residual, sum, y, dy, dx, dresidual: [rows, C]   gamma, beta, dgamma, dbeta: [C]   mean, rstd: [rows]
// saved      sum (s, in the dtype of x), mean, rstd
// statistics two passes (mean first), in the compute type; the variance is the biased one
// order      sums over rows are made in blocks of a fixed number of rows and added in block order: the same bits for any thread count
// cost       forward reads x and residual, writes sum and y; memory bound
// paper      Ba, Kiros, Hinton 2016, arXiv:1607.06450

#include "kernels/dropout.h"
#include "kernels/tensor.h"

namespace locus {

struct LayerNormForward {
    Tensor x;              // [rows, C]
    Tensor residual = {};  // optional [rows, C]
    Tensor gamma, beta;    // [C]
    double epsilon = 1e-12;
    Dropout dropout = {};   // on x, before the residual
    DropoutRows rows = {};  // needed when dropout is on
    Tensor sum;             // out [rows, C]; may be x itself
    Tensor y;               // out [rows, C]
    Tensor mean, rstd;      // out [rows]
};
void layer_norm_forward(const LayerNormForward& args);

struct LayerNormBackward {
    Tensor dy, sum, gamma, mean, rstd;  // as above
    Dropout dropout = {};
    DropoutRows rows = {};
    Tensor dx;                   // out [rows, C]
    Tensor dresidual = {};       // out [rows, C]; absent when there was no residual
    bool accumulate_dx = false;  // add to dx instead of overwriting
    bool accumulate_dresidual = false;
    Tensor dgamma, dbeta;  // [C], added to
};
void layer_norm_backward(const LayerNormBackward& args);

}  // namespace locus
