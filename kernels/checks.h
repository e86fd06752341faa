#pragma once
// The contract of a kernel's arguments, checked on entry. Each check names the op, the argument, what it has and what it should have.

#include <string>

#include "kernels/call_context.h"
#include "kernels/tensor.h"

namespace locus::LOCUS_TARGET {

/// Whose arguments are checked: the name for messages, and where every tensor has to lie.
struct Op {
    // NOLINTNEXTLINE(google-explicit-constructor): a name alone is an operation on the processor
    constexpr Op(const char* name, Device device = Device::cpu) : name(name), device(device) {}
    const char* name;
    Device device;
};

inline void check_shape(Op op, const char* name, const Tensor& tensor, Shape shape) {
    note_argument(name, tensor);
    LOCUS_CHECK(tensor || shape.count() == 0, op.name, std::string(name) + " is absent");
    LOCUS_CHECK(!tensor || tensor.device == op.device, op.name,
                std::string(name) + " lies on " + name_of(tensor.device) + ", should lie on " + name_of(op.device));
    LOCUS_CHECK(tensor.shape == shape, op.name,
                std::string(name) + " is " + tensor.shape.to_string() + ", should be " + shape.to_string());
}

inline void check_dtype(Op op, const char* name, const Tensor& tensor, DType dtype) {
    LOCUS_CHECK(tensor.dtype == dtype, op.name,
                std::string(name) + " is " + name_of(tensor.dtype) + ", should be " + name_of(dtype));
}

inline void check_contiguous(Op op, const char* name, const Tensor& tensor, Shape shape) {
    check_shape(op, name, tensor, shape);
    LOCUS_CHECK(tensor.is_contiguous(), op.name,
                std::string(name) + " is not contiguous, its strides are " + tensor.strides.to_string());
}

/// A matrix whose rows may lie apart, as in a column range of a wider one, but whose columns do not.
inline void check_rows(Op op, const char* name, const Tensor& tensor, Shape shape) {
    check_shape(op, name, tensor, shape);
    LOCUS_CHECK(tensor.shape[1] <= 1 || tensor.strides[1] == 1, op.name,
                std::string(name) + " has columns that lie apart, its strides are " + tensor.strides.to_string());
}

/// The extents of a matrix. Throws when the tensor has another rank.
inline Shape matrix_shape(Op op, const char* name, const Tensor& tensor) {
    note_argument(name, tensor);
    LOCUS_CHECK(tensor.shape.rank() == 2, op.name,
                std::string(name) + " is " + tensor.shape.to_string() + ", should be a matrix");
    return tensor.shape;
}

}  // namespace locus::LOCUS_TARGET
