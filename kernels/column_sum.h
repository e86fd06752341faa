#pragma once
// Sum over rows: the gradient of a bias.
//
//   sum[c] += sum_r x[r, c]
//
// shapes   x: [rows, C], rows may be strided; sum: [C], added to
// order    blocks of a fixed number of rows, added in block order: the same bits for any thread count
// cost     reads x once

#include "kernels/tensor.h"

namespace locus {

struct ColumnSum {
    Tensor x, sum;
};
void column_sum(const ColumnSum& args);

}  // namespace locus
