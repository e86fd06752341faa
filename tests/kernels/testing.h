#pragma once
// What the tests of the kernels share: tensors with memory of their own, comparisons that a NaN cannot pass, and a gradient checker.

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/tensor.h"
#include "tests/gpus.h"

namespace locus::test {

/// For its lifetime, new Memory lies on the device, and kernels called with it run there and are waited for.
class OnDevice {
public:
    explicit OnDevice(Device device);
    ~OnDevice();
    OnDevice(const OnDevice&) = delete;
    OnDevice& operator=(const OnDevice&) = delete;

    static Device current();

private:
    Device before_;
};

/// Zero-filled memory on the device of the hour, which tests can read and write too. Copies are deep and stay on the device.
class Memory {
public:
    explicit Memory(std::size_t bytes = 0, Device device = OnDevice::current());
    ~Memory();
    Memory(const Memory& other);
    Memory(Memory&& other) noexcept { swap(other); }
    Memory& operator=(Memory other) noexcept {
        swap(other);
        return *this;
    }
    void swap(Memory& other) noexcept;

    char* data() const { return data_; }
    Device device() const { return device_; }

private:
    char* data_ = nullptr;
    std::size_t bytes_ = 0;
    Device device_ = Device::cpu;
};

/// Calls `work` once for each of the gpus() as the device of the hour; for simt several times, with the threads of a block in another order each: what
/// it computes must not depend on it.
void on_each_gpu(const std::function<void()>& work);

/// A tensor that owns its memory. Copies are deep. Reads and writes as double whatever the dtype.
class Owned {
public:
    Owned() = default;
    Owned(Shape shape, DType dtype)
        : memory_(static_cast<std::size_t>(shape.count() * size_of(dtype)) + 1), shape_(shape), dtype_(dtype) {}

    /// A view; valid as long as this object neither moves nor dies.
    Tensor tensor() const { return Tensor(memory_.data(), shape_, dtype_, memory_.device()); }
    operator Tensor() const { return tensor(); }  // NOLINT: kernels take views

    const Shape& shape() const { return shape_; }
    DType dtype() const { return dtype_; }
    std::int64_t count() const { return shape_.count(); }
    double get(std::int64_t index) const;
    void set(std::int64_t index, double value);
    double get(std::int64_t row, std::int64_t column) const { return get(row * shape_[1] + column); }

private:
    Memory memory_;  // one byte more than needed, so that an empty tensor has an address
    Shape shape_;
    DType dtype_ = DType::float32;
};

/// Element `index`, in row-major order, of a tensor with any strides.
double element(const Tensor& tensor, std::int64_t index);

Owned filled(Shape shape, DType dtype, double value);
inline Owned zeros(Shape shape, DType dtype) { return filled(shape, dtype, 0.0); }
/// Standard normals times `scale`; the same values for every dtype, up to rounding.
Owned normals(Shape shape, DType dtype, std::uint32_t seed, double scale = 1.0);
Owned int32s(const std::vector<std::int32_t>& values);
/// 0, 1, ..., count-1 plus `first`.
Owned counting(std::int64_t count, std::int32_t first = 0);
Owned converted(const Owned& from, DType dtype);

/// sum_i a_i b_i, in double.
double dot(const Owned& a, const Owned& b);

/// Every element of `got` within absolute + relative * max|expected| of `expected`. Fails on NaN, on different shapes and on empty tensors; the
/// message names the worst element.
::testing::AssertionResult close(const std::string& name, const Tensor& got, const Tensor& expected, double absolute,
                                 double relative);
/// The same bits throughout.
::testing::AssertionResult identical(const std::string& name, const Owned& got, const Owned& expected);

/// Sets the number of OpenMP threads for its lifetime.
class Threads {
public:
    explicit Threads(int count);
    ~Threads();
    Threads(const Threads&) = delete;
    Threads& operator=(const Threads&) = delete;

private:
    int before_;
};

/// Compares gradients that a backward pass wrote with differences of the loss, in float64:
///
///     GradientCheck check([&] { gelu_forward({x, bias, y}); return dot(dy, y); });     // dy: a random cotangent
///     check.input("x", x, dx);
///     check.input("bias", bias, dbias);
///     EXPECT_TRUE(check.run());
///
/// The derivative is the four-point central difference (error of the order of step^4). It fails when a gradient is off by more than
/// tolerance * max|difference|, is not finite, when all differences of an input vanish (then nothing was checked), when an input is empty or
/// not float64, and when no input was named.
class GradientCheck {
public:
    explicit GradientCheck(std::function<double()> loss) : loss_(std::move(loss)) {}

    GradientCheck& input(std::string name, Owned& value, const Owned& gradient);
    GradientCheck& tolerance(double value) {
        tolerance_ = value;
        return *this;
    }
    GradientCheck& step(double value) {
        step_ = value;
        return *this;
    }
    ::testing::AssertionResult run() const;

private:
    struct Input {
        std::string name;
        Owned* value;
        const Owned* gradient;
    };
    double difference(Owned& value, std::int64_t index) const;
    ::testing::AssertionResult run(const Input& input) const;

    std::function<double()> loss_;
    std::vector<Input> inputs_;
    double tolerance_ = 1e-7, step_ = 1e-3;
};

}  // namespace locus::test
