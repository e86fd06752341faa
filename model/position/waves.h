#pragma once
// Sines and cosines of the position, as sinusoidal.cpp has them.

#include "model/autograd/tape.h"

namespace locus {

/// p[i, 2 c] = scale sin(i w_c), p[i, 2 c + 1] = scale cos(i w_c), w_c = base^(-2 c / columns), for i = 0 .. length - 1: [length, columns]. Angles are
/// computed in float64 at every position.
Tensor waves(Tape& tape, Shape shape, DType dtype, double base, double scale);

}  // namespace locus
