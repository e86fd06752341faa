#include "kernels/tensor.h"

namespace locus {

const char* name_of(DType dtype) {
    switch (dtype) {
        case DType::float32: return "float32";
        case DType::float64: return "float64";
        case DType::bfloat16: return "bfloat16";
        case DType::int32: return "int32";
    }
    return "?";
}

const char* name_of(Device device) {
    switch (device) {
        case Device::cpu: return "cpu";
        case Device::cuda: return "cuda";
        case Device::simt: return "simt";
    }
    return "?";
}

std::string Shape::to_string() const {
    std::string text = "[";
    for (int axis = 0; axis < rank_; ++axis) {
        if (axis > 0) text += ", ";
        text += std::to_string((*this)[axis]);
    }
    return text + "]";
}

Tensor::Tensor(void* data, Shape shape, DType dtype, Device device)
    : data(data), shape(shape), strides(shape), dtype(dtype), device(device) {
    std::int64_t stride = 1;
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
        strides[axis] = stride;
        stride *= shape[axis];
    }
}

bool Tensor::is_contiguous() const {
    std::int64_t stride = 1;
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
        if (shape[axis] != 1 && strides[axis] != stride) return false;
        stride *= shape[axis];
    }
    return true;
}

Tensor Tensor::reshape(Shape to) const {
    LOCUS_CHECK(to.count() == count() && is_contiguous(), "reshape", shape.to_string() + " to " + to.to_string());
    return Tensor(data, to, dtype, device);
}

Tensor Tensor::slice(int axis, std::int64_t begin, std::int64_t end) const {
    LOCUS_CHECK(0 <= begin && begin <= end && end <= shape[axis], "slice",
                std::to_string(begin) + ".." + std::to_string(end) + " of " + shape.to_string());
    Tensor part = *this;
    part.data = static_cast<char*>(data) + begin * strides[axis] * size_of(dtype);
    part.shape[axis] = end - begin;
    return part;
}

void Tensor::throw_wrong_dtype(DType asked) const {
    throw_contract("tensor", std::string("holds ") + name_of(dtype) + ", asked for " + name_of(asked));
}

void throw_contract(const char* op, const std::string& what) {
    throw std::logic_error(std::string("[") + op + "] " + what);
}

}  // namespace locus
