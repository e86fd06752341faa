#pragma once
// Matrix product  C = op(A) op(B) [+ C] [+ bias], row-major.
//
//   shapes   op(A): [M, K], op(B): [K, N], C: [M, N], bias: [N]; rows may be strided (a column range of a wider matrix)
//   dtypes   float64: own kernel (matmul_float64.cpp), which is also the one to read: the same loops in the same order that a fast
//            product needs, without the packing.  float32: own kernel on the tile registers of AMX (matmul_amx.cpp) where the processor has them,
//            else oneDNN
//            on a GPU: float32; with Rounding::bfloat16 each of a, b and c may also be stored as bfloat16. c is then rounded once, at the end. The bias is
//            float32, but beside such a c the device may round it first
//   rounding of float32 operands before they are multiplied; products and sums are float32. Processors with bfloat16 instructions (AVX-512 BF16, AMX)
//            multiply such numbers 2 to 16 times as fast as float32; others only round. TF32 is what tensor cores of a GPU read float32 as
//   cost     2 M N K flop; (M K + K N + M N) elements of traffic
//
// Bits repeat from run to run. One thread at a time may call this; the product itself uses all OpenMP threads.

#include "kernels/tensor.h"

namespace locus {

/// To how many bits of mantissa operands are rounded: all 23, or 10 (on a GPU only), or 7.
enum class Rounding : std::uint8_t { none, tf32, bfloat16 };

struct Matmul {
    Tensor a, b, c;
    bool transpose_a = false;            // a is stored [K, M]
    bool transpose_b = false;            // b is stored [N, K]: a Linear layer's weight
    Tensor bias = {};                    // optional [N]
    bool accumulate = false;             // add to c instead of overwriting it
    Rounding rounding = Rounding::none;  // of a and b; none for float64
    // Optional [M], added to, with transpose_a and without a bias: the sums of a's columns. Where C is the gradient of a weight, A = dy^T, they are
    // that of its bias, and a GPU's library reads dy once for both. Stored as column_sum.h wants them.
    Tensor a_column_sum = {};
};
void matmul(const Matmul& args);

/// Who multiplies such tensors on this processor, for a log: "oneDNN", "own kernel on tile registers", "own kernel".
const char* multiplier_of(DType dtype);

/// Own float64 product; called by matmul() for that dtype. No library behind it.
void matmul_float64(const Matmul& args);

}  // namespace locus
