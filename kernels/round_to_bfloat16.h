#pragma once
// y = x rounded to bfloat16: the upper half of a float32, so 8 exponent bits (float32's range) and 8 significant bits. To the
// nearest; halfway goes to the even one. NaN stays NaN, infinities stay, and what is above the largest bfloat16 becomes infinity.
//
// shapes   x: [rows, columns] float32, rows may lie apart;  y: the same shape, contiguous, bfloat16, or float32 to keep the rounded
//          numbers in the wide form
// cost     reads x, writes y (half as many bytes): memory bound

#include "kernels/tensor.h"

namespace locus {

struct RoundToBfloat16 {
    Tensor x, y;
};
void round_to_bfloat16(const RoundToBfloat16& args);

}  // namespace locus
