#pragma once
// The float32 matrix product of matmul.h by oneDNN, for processors without tiles.

#include "kernels/matmul.h"

namespace locus {

/// Called by matmul() for float32 tensors. Bits repeat at the same thread count and instruction set; across thread counts the library may split K
/// differently. Throws std::bad_alloc.
void matmul_onednn(const Matmul& args);

/// How operands are best stored when they are rounded to bfloat16: as bfloat16 where this processor multiplies such numbers, else as
/// the float32 numbers of equal value.
DType bfloat16_operand();

}  // namespace locus
