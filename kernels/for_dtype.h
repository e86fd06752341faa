#pragma once
// From the dtype that a tensor carries at run time to the type that a template needs.
//
//     for_dtype("gelu", x.dtype, [&](auto zero) { forward<decltype(zero)>(args); });
//
// calls the body with a float or a double; any other dtype breaks the kernel's contract.

#include <string>
#include <utility>

#include "kernels/tensor.h"

namespace locus::LOCUS_TARGET {

template <class Body>
void for_dtype(const char* op, DType dtype, Body&& body) {
    switch (dtype) {
        case DType::float32: return std::forward<Body>(body)(float{});
        case DType::float64: return std::forward<Body>(body)(double{});
        default: throw_contract(op, std::string(name_of(dtype)) + " is not supported: use float32 or float64");
    }
}

}  // namespace locus::LOCUS_TARGET
