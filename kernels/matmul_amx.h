#pragma once
// The matrix product of matmul.h on AMX, the tile registers of newer x86-64 processors (Isa::amx). Own kernel.

#include "kernels/matmul.h"

namespace locus {

/// Called by matmul() for float32 tensors, bfloat16 products or not, when isa() is Isa::amx. Bits do not depend on the number of threads.
/// Throws std::bad_alloc when there is no room for the packed operands.
void matmul_amx(const Matmul& args);

}  // namespace locus
