#pragma once
// y += x, element by element: where two gradients meet.
//
// shapes   x, y: the same, contiguous
// cost     reads both, writes y

#include "kernels/tensor.h"

namespace locus {

struct Add {
    Tensor x, y;
};
void add(const Add& args);

}  // namespace locus
