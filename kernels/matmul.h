#pragma once
// Matrix product  C = op(A) op(B) [+ C] [+ bias], row-major.
//
//   shapes   op(A): [M, K], op(B): [K, N], C: [M, N], bias: [N]; rows may be strided (a column range of a wider matrix)
//   dtypes   float64: own kernel (matmul_float64.cpp), which is also the one to read: the same loops in the same order that a fast
//            product needs, without the packing.  float32: own kernel on the tile registers of AMX (matmul_amx.cpp) where the processor has them,
//            else oneDNN
//            on a GPU: float32; with .bfloat16 each of a, b and c may also be stored as bfloat16. c is then rounded once, at the end. The bias is
//            float32, but beside such a c the device may round it first
//   bfloat16 rounds float32 operands to bfloat16 before they are multiplied; products and sums are float32. Processors with
//            bfloat16 instructions (AVX-512 BF16, AMX) multiply such numbers 2 to 16 times as fast as float32; others only round
//   cost     2 M N K flop; (M K + K N + M N) elements of traffic
//
// Bits repeat from run to run. One thread at a time may call this; the product itself uses all OpenMP threads.

#include "kernels/tensor.h"

namespace locus {

struct Matmul {
    Tensor a, b, c;
    bool transpose_a = false;  // a is stored [K, M]
    bool transpose_b = false;  // b is stored [N, K]: a Linear layer's weight
    Tensor bias = {};          // optional [N]
    bool accumulate = false;   // add to c instead of overwriting it
    bool bfloat16 = false;     // multiply a and b rounded to bfloat16; not for float64
};
void matmul(const Matmul& args);

/// Who multiplies such tensors on this processor, for a log: "oneDNN", "own kernel on tile registers", "own kernel".
const char* multiplier_of(DType dtype);

/// Own float64 product; called by matmul() for that dtype. No library behind it.
void matmul_float64(const Matmul& args);

}  // namespace locus
