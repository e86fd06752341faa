#pragma once
// Selected rows of a matrix: the masked positions, which are all that the masked-LM head looks at.
//
//   forward    y[m] = x[rows[m]]
//   backward   dx[rows[m]] (+)= dy[m];  rows that are not selected get 0 unless dx is accumulated into
//
// shapes   x, dx: [rows, H]   indices: int32 [selected], strictly increasing   y, dy: [selected, H]
// errors   an index out of range or out of order throws std::out_of_range

#include "kernels/tensor.h"

namespace locus {

struct GatherRowsForward {
    Tensor x, indices, y;
};
void gather_rows_forward(const GatherRowsForward& args);

struct GatherRowsBackward {
    Tensor dy, indices, dx;
    bool accumulate = false;
};
void gather_rows_backward(const GatherRowsBackward& args);

}  // namespace locus
