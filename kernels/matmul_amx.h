#pragma once
// The matrix product of matmul.h on AMX, the tile registers of newer x86-64 processors (Isa::amx). Own kernel.

#include "kernels/matmul.h"

namespace locus {

/// Called by matmul() for float32 tensors, bfloat16 products or not, when isa() is Isa::amx. Bits do not depend on the number of threads.
/// Throws std::bad_alloc when there is no room for the packed operands.
void matmul_amx(const Matmul& args);

/// C = A B, or C += A B: a small product for the calling thread alone, its operands rounded to bfloat16. Of the two strides of A one is 1, and of B's too.
struct TileProduct {
    std::int64_t m, n, k;
    const float* a;  // element (m, k) at a[m * a_row + k * a_column]
    std::int64_t a_row, a_column;
    const float* b;  // element (k, n) at b[k * b_row + n * b_column]
    std::int64_t b_row, b_column;
    float* c;  // element (m, n) at c[m * c_row + n]
    std::int64_t c_row;
    bool add;
};
/// Called by attention on Isa::amx. Keeps scratch memory for each thread.
void tile_product(const TileProduct& args);

}  // namespace locus
