#pragma once
// Matrix product  C = op(A) op(B) [+ C] [+ bias], row-major.
//
//   shapes   op(A): [M, K], op(B): [K, N], C: [M, N], bias: [N]; rows may be strided (a column range of a wider matrix)
//   dtypes   float32: oneDNN.  float64: own kernel (matmul_float64.cpp), which is also the one to read: the same loops in the
//            same order that a fast product needs, without the packing
//   bfloat16 a and b only; c and bias are float32, and so are the products and sums. Processors with bfloat16 instructions (AVX-512
//            BF16, AMX) multiply such numbers 2 to 16 times as fast as float32
//   cost     2 M N K flop; (M K + K N + M N) elements of traffic
//
// oneDNN's primitives are created once per shape and kept. Bits repeat from run to run at the same thread count and
// instruction set; across thread counts the library may split K differently (docs/performance.md says where).

#include "kernels/tensor.h"

namespace locus {

struct Matmul {
    Tensor a, b, c;
    bool transpose_a = false;  // a is stored [K, M]
    bool transpose_b = false;  // b is stored [N, K]: a Linear layer's weight
    Tensor bias = {};          // optional [N]
    bool accumulate = false;   // add to c instead of overwriting it
};
void matmul(const Matmul& args);

/// How operands rounded to bfloat16 (round_to_bfloat16.h) are best stored: as bfloat16 where this processor multiplies such numbers, else as
/// the float32 numbers of equal value. matmul() refuses bfloat16 tensors where it is the latter.
DType bfloat16_operand();

/// Own float64 product; called by matmul() for that dtype. No library behind it.
void matmul_float64(const Matmul& args);

}  // namespace locus
