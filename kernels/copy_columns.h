#pragma once
// Columns from one matrix to another, whose rows may lie apart: y = x, or y += x.
//
// shapes   x, y: [rows, C], perhaps columns of wider matrices
// dtypes   processor: float32 or float64, both the same; GPU: each float32 or bfloat16, so a copy may also convert
// cost     one read and one write per element

#include "kernels/tensor.h"

namespace locus {

struct CopyColumns {
    Tensor x, y;
    bool accumulate = false;  // add to y instead of overwriting it
};
void copy_columns(const CopyColumns& args);

}  // namespace locus
