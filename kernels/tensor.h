#pragma once
// A tensor is a view: an address, an element type, a shape and strides. It owns nothing and copies nothing; memory comes
// from a Buffer or an Arena (memory.h). Everything is row-major; strides exist so that a column range (the query part of a
// fused query-key-value product, say) is a tensor too.

#include <array>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>

namespace locus {

enum class DType : std::uint8_t { float32, float64, bfloat16, int32 };
/// Where a tensor lies and who computes with it. simt: the kernels for a GPU, run on the processor (simt.h), for tests and for looking into them.
enum class Device : std::uint8_t { cpu, cuda, simt };

/// Bytes of one element.
constexpr std::int64_t size_of(DType dtype) { return dtype == DType::float64 ? 8 : dtype == DType::bfloat16 ? 2 : 4; }

/// "float32", "float64", "bfloat16", "int32".
const char* name_of(DType dtype);

/// "cpu", "cuda", "simt".
const char* name_of(Device device);

/// The storage type of bfloat16: the upper half of a float32.
struct bfloat16_t {
    std::uint16_t bits;
};

template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
    return DType::float32;
}
template <>
constexpr DType dtype_of<double>() {
    return DType::float64;
}
template <>
constexpr DType dtype_of<bfloat16_t>() {
    return DType::bfloat16;
}
template <>
constexpr DType dtype_of<std::int32_t>() {
    return DType::int32;
}

/// Up to four extents; the first is the slowest.
class Shape {
public:
    static constexpr int max_rank = 4;

    constexpr Shape() = default;
    constexpr Shape(std::initializer_list<std::int64_t> extents) {
        for (std::int64_t extent : extents) extents_[static_cast<std::size_t>(rank_++)] = extent;
    }

    constexpr int rank() const { return rank_; }
    /// Negative axes count from the end: shape[-1] is the fastest extent.
    constexpr std::int64_t operator[](int axis) const {
        return extents_[static_cast<std::size_t>(axis < 0 ? axis + rank_ : axis)];
    }
    constexpr std::int64_t& operator[](int axis) {
        return extents_[static_cast<std::size_t>(axis < 0 ? axis + rank_ : axis)];
    }
    /// Number of elements; 1 for a scalar (rank 0).
    constexpr std::int64_t count() const {
        std::int64_t product = 1;
        for (int axis = 0; axis < rank_; ++axis) product *= extents_[static_cast<std::size_t>(axis)];
        return product;
    }
    constexpr bool operator==(const Shape&) const = default;

    /// "[32, 128, 256]"
    std::string to_string() const;

private:
    std::array<std::int64_t, max_rank> extents_{};
    int rank_ = 0;
};

struct Tensor {
    void* data = nullptr;
    Shape shape;
    Shape strides;  // in elements
    DType dtype = DType::float32;
    Device device = Device::cpu;

    Tensor() = default;
    /// A contiguous row-major view of `data`.
    Tensor(void* data, Shape shape, DType dtype, Device device = Device::cpu);

    /// False for the absent tensor, which optional arguments default to.
    explicit operator bool() const { return data != nullptr; }
    std::int64_t count() const { return shape.count(); }
    std::int64_t bytes() const { return count() * size_of(dtype); }
    bool is_contiguous() const;

    /// Typed address of the first element. Throws std::logic_error when T is not the dtype.
    template <class T>
    T* as() const {
        if (dtype_of<T>() != dtype) throw_wrong_dtype(dtype_of<T>());
        return static_cast<T*>(data);
    }

    /// The same elements under another shape of equal count; contiguous tensors only.
    Tensor reshape(Shape to) const;
    /// Elements begin..end-1 of one axis.
    Tensor slice(int axis, std::int64_t begin, std::int64_t end) const;

private:
    [[noreturn]] void throw_wrong_dtype(DType asked) const;
};

/// Throws std::logic_error("[op] what"): a caller inside the program broke a kernel's contract (shape, dtype, stride).
[[noreturn]] void throw_contract(const char* op, const std::string& what);

/// Checks a kernel's contract; `what` is evaluated only on failure.
#define LOCUS_CHECK(condition, op, what)                         \
    do {                                                         \
        if (!(condition)) ::locus::throw_contract((op), (what)); \
    } while (false)

}  // namespace locus
