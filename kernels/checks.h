#pragma once
// The contract of a kernel's arguments, checked on entry. Each check names the op, the argument, what it has and what it should have.

#include <string>

#include "kernels/tensor.h"

namespace locus::LOCUS_TARGET {

inline void check_shape(const char* op, const char* name, const Tensor& tensor, Shape shape) {
    LOCUS_CHECK(tensor || shape.count() == 0, op, std::string(name) + " is absent");
    LOCUS_CHECK(tensor.device == Device::cpu, op, std::string(name) + " is not in the processor's memory");
    LOCUS_CHECK(tensor.shape == shape, op,
                std::string(name) + " is " + tensor.shape.to_string() + ", should be " + shape.to_string());
}

inline void check_dtype(const char* op, const char* name, const Tensor& tensor, DType dtype) {
    LOCUS_CHECK(tensor.dtype == dtype, op,
                std::string(name) + " is " + name_of(tensor.dtype) + ", should be " + name_of(dtype));
}

inline void check_contiguous(const char* op, const char* name, const Tensor& tensor, Shape shape) {
    check_shape(op, name, tensor, shape);
    LOCUS_CHECK(tensor.is_contiguous(), op,
                std::string(name) + " is not contiguous, its strides are " + tensor.strides.to_string());
}

/// A matrix whose rows may lie apart, as in a column range of a wider one, but whose columns do not.
inline void check_rows(const char* op, const char* name, const Tensor& tensor, Shape shape) {
    check_shape(op, name, tensor, shape);
    LOCUS_CHECK(tensor.shape[1] <= 1 || tensor.strides[1] == 1, op,
                std::string(name) + " has columns that lie apart, its strides are " + tensor.strides.to_string());
}

/// The extents of a matrix. Throws when the tensor has another rank.
inline Shape matrix_shape(const char* op, const char* name, const Tensor& tensor) {
    LOCUS_CHECK(tensor.shape.rank() == 2, op,
                std::string(name) + " is " + tensor.shape.to_string() + ", should be a matrix");
    return tensor.shape;
}

}  // namespace locus::LOCUS_TARGET
