#pragma once
// Bias and GELU in one pass, erf form (the one that BERT and DeBERTa use).
//
//   forward    z = x + bias;   y = z/2 (1 + erf(z / sqrt 2))
//   backward   dz = dy * (Phi(z) + z phi(z)),  Phi(z) = (1 + erf(z / sqrt 2)) / 2,  phi(z) = exp(-z^2 / 2) / sqrt(2 pi)
//              dx = dz;  dbias += sum_rows(dz)
//
// shapes   x, y, dy, dx: [rows, C]   bias, dbias: [C];  dx may be dy
// saved    x (without the bias)
// accuracy float32 polynomials for erf and exp, absolute error below 2e-7; float64 uses libm
// cost     compute bound: about 25 flop per element forward, 40 backward
// paper    Hendrycks and Gimpel 2016, arXiv:1606.08415

#include "kernels/tensor.h"

namespace locus {

struct GeluForward {
    Tensor x, bias, y;
};
void gelu_forward(const GeluForward& args);

struct GeluBackward {
    Tensor dy, x, bias;
    Tensor dx;     // out [rows, C]
    Tensor dbias;  // [C], added to
};
void gelu_backward(const GeluBackward& args);

}  // namespace locus
