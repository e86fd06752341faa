#pragma once
// Products of pairs of rows, head by head: what a position says to a position.
//
//   forward    y[h, n] = scale a[i_n, h] . b[j_n, h]
//   backward   da[i_n, h] += scale dy[h, n] b[j_n, h],   db[j_n, h] += scale dy[h, n] a[i_n, h]        in the order of n
//
// shapes   a, b: [entries, heads head_dim]   a_rows (i), b_rows (j): int32 [pairs]   y, dy: [heads, pairs]
// cost     2 pairs heads head_dim flop forward, twice that backward

#include "kernels/tensor.h"

namespace locus {

struct RowProducts {
    Tensor a, b, a_rows, b_rows;
    std::int64_t heads = 1;
    double scale = 1.0;
};

struct RowProductsForward {
    RowProducts operands;
    Tensor y;  // out
};
void row_products_forward(const RowProductsForward& args);

struct RowProductsBackward {
    Tensor dy;
    RowProducts operands;
    Tensor da, db;  // added to
};
void row_products_backward(const RowProductsBackward& args);

}  // namespace locus
