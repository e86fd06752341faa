#pragma once
// What a model computes in.

#include "kernels/matmul.h"

namespace locus {

/// How parameters are stored, float32 or float64, and to what the operands of their products are rounded. A dtype says both: bfloat16 is float32 with
/// bfloat16 products.
struct Arithmetic {
    // NOLINTNEXTLINE(google-explicit-constructor): a dtype is an arithmetic
    constexpr Arithmetic(DType named)
        : storage(named == DType::bfloat16 ? DType::float32 : named),
          products(named == DType::bfloat16 ? Rounding::bfloat16 : Rounding::none) {}
    constexpr Arithmetic(DType storage, Rounding products) : storage(storage), products(products) {}

    DType storage;
    Rounding products;
};

}  // namespace locus
