#pragma once
// y = x^T (+ y).
//
// shapes   x: [rows, columns], y: [columns, rows], both contiguous
// cost     one read and one write per element. Meant for small matrices (a bias per head and distance): one of the two is walked against
//          the cache lines

#include "kernels/tensor.h"

namespace locus {

struct Transpose {
    Tensor x, y;
    bool accumulate = false;  // add to y instead of overwriting it
};
void transpose(const Transpose& args);

}  // namespace locus
