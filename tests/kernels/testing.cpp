#include "tests/kernels/testing.h"

#include <omp.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "kernels/gpu_memory.h"
#include "kernels/random.h"
#include "kernels/simt.h"

namespace locus::test {
namespace {

std::int64_t offset_of(const Tensor& tensor, std::int64_t index) {
    std::int64_t offset = 0;
    for (int axis = tensor.shape.rank() - 1; axis >= 0; --axis) {
        offset += index % tensor.shape[axis] * tensor.strides[axis];
        index /= tensor.shape[axis];
    }
    return offset;
}

double read(const Tensor& tensor, std::int64_t offset) {
    switch (tensor.dtype) {
        case DType::float32: return static_cast<double>(tensor.as<float>()[offset]);
        case DType::float64: return tensor.as<double>()[offset];
        case DType::int32: return tensor.as<std::int32_t>()[offset];
        case DType::bfloat16: {
            const std::uint32_t upper = tensor.as<bfloat16_t>()[offset].bits;
            return static_cast<double>(std::bit_cast<float>(upper << 16U));
        }
    }
    throw_contract("test", "no such dtype");
}

Device device_of_the_hour = Device::cpu;

}  // namespace

OnDevice::OnDevice(Device device) : before_(device_of_the_hour) {
    setenv("LOCUS_GPU_WAIT", "1", 0);
    device_of_the_hour = device;
}
OnDevice::~OnDevice() { device_of_the_hour = before_; }
Device OnDevice::current() { return device_of_the_hour; }

Memory::Memory(std::size_t bytes, Device device) : bytes_(bytes), device_(device) {
    if (bytes == 0) return;
    data_ =
        static_cast<char*>(device == Device::cpu ? std::malloc(bytes) : functions_of(device).allocate_shared(bytes));
    std::memset(data_, 0, bytes);
}
Memory::~Memory() {
    if (data_ == nullptr) return;
    if (device_ == Device::cpu) {
        std::free(data_);
    } else {
        functions_of(device_).release(data_);
    }
}
Memory::Memory(const Memory& other) : Memory(other.bytes_, other.device_) {
    if (data_ != nullptr) std::memcpy(data_, other.data_, bytes_);
}
void Memory::swap(Memory& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(device_, other.device_);
}

void on_each_gpu(const std::function<void()>& work) {
    for (const Device device : gpus()) {
        const OnDevice scope(device);
        SCOPED_TRACE(name_of(device));
        if (device == Device::cuda) {
            work();
            continue;
        }
        for (const simt::Order order : {simt::Order::forward, simt::Order::backward, simt::Order::shuffled}) {
            simt::set_order(order);
            work();
        }
        simt::set_order(simt::Order::forward);
    }
}

double element(const Tensor& tensor, std::int64_t index) { return read(tensor, offset_of(tensor, index)); }

double Owned::get(std::int64_t index) const { return read(tensor(), index); }

void Owned::set(std::int64_t index, double value) {
    switch (dtype_) {
        case DType::float32: tensor().as<float>()[index] = static_cast<float>(value); break;
        case DType::float64: tensor().as<double>()[index] = value; break;
        case DType::int32: tensor().as<std::int32_t>()[index] = static_cast<std::int32_t>(value); break;
        case DType::bfloat16: {  // to the nearest, of two the even one
            const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
            tensor().as<bfloat16_t>()[index].bits =
                static_cast<std::uint16_t>((bits + 0x7FFFU + (bits >> 16U & 1U)) >> 16U);
            break;
        }
    }
}

Owned filled(Shape shape, DType dtype, double value) {
    Owned result(shape, dtype);
    for (std::int64_t i = 0; i < result.count(); ++i) result.set(i, value);
    return result;
}

Owned normals(Shape shape, DType dtype, std::uint32_t seed, double scale) {
    Owned result(shape, dtype);
    for (std::int64_t i = 0; i < result.count(); ++i) {
        const Philox4 bits = philox({seed, 77}, {static_cast<std::uint32_t>(i), 0, 0, 0});
        result.set(i, scale * box_muller(bits[0], bits[1])[0]);
    }
    return result;
}

Owned int32s(const std::vector<std::int32_t>& values) {
    Owned result({static_cast<std::int64_t>(values.size())}, DType::int32);
    for (std::size_t i = 0; i < values.size(); ++i) result.set(static_cast<std::int64_t>(i), values[i]);
    return result;
}

Owned counting(std::int64_t count, std::int32_t first) {
    Owned result({count}, DType::int32);
    for (std::int64_t i = 0; i < count; ++i) result.set(i, static_cast<double>(first + i));
    return result;
}

Owned converted(const Owned& from, DType dtype) {
    Owned result(from.shape(), dtype);
    for (std::int64_t i = 0; i < from.count(); ++i) result.set(i, from.get(i));
    return result;
}

double dot(const Owned& a, const Owned& b) {
    LOCUS_CHECK(a.shape() == b.shape(), "test", "dot of " + a.shape().to_string() + " and " + b.shape().to_string());
    double sum = 0.0;
    for (std::int64_t i = 0; i < a.count(); ++i) sum += a.get(i) * b.get(i);
    return sum;
}

::testing::AssertionResult close(const std::string& name, const Tensor& got, const Tensor& expected, double absolute,
                                 double relative) {
    if (!(got.shape == expected.shape) || got.count() == 0) {
        return ::testing::AssertionFailure() << name << " is " << got.shape.to_string() << ", expected "
                                             << expected.shape.to_string() << " and not empty";
    }
    double largest = 0.0;
    for (std::int64_t i = 0; i < expected.count(); ++i) largest = std::max(largest, std::abs(element(expected, i)));
    const double tolerance = absolute + relative * largest;
    std::int64_t wrong = 0, worst = -1;
    double worst_difference = -1.0;
    for (std::int64_t i = 0; i < got.count(); ++i) {
        const double difference = std::abs(element(got, i) - element(expected, i));
        const bool ok = difference <= tolerance;  // false for NaN
        if (ok) continue;
        ++wrong;
        if (worst < 0 || !(difference <= worst_difference)) worst = i, worst_difference = difference;
    }
    if (wrong == 0) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << name << ": " << wrong << " of " << got.count() << " elements differ; at "
                                         << worst << " of " << got.shape.to_string() << " got " << element(got, worst)
                                         << ", expected " << element(expected, worst) << ", tolerance " << tolerance;
}

::testing::AssertionResult identical(const std::string& name, const Owned& got, const Owned& expected) {
    if (!(got.shape() == expected.shape()) || got.dtype() != expected.dtype() || got.count() == 0) {
        return ::testing::AssertionFailure() << name << " has another shape or dtype, or is empty";
    }
    const std::int64_t size = size_of(got.dtype());
    const Tensor a = got.tensor(), b = expected.tensor();
    for (std::int64_t i = 0; i < got.count(); ++i) {
        if (std::memcmp(static_cast<char*>(a.data) + i * size, static_cast<char*>(b.data) + i * size,
                        static_cast<std::size_t>(size)) != 0) {
            return ::testing::AssertionFailure()
                   << name << ": bits differ at " << i << ", got " << got.get(i) << ", expected " << expected.get(i);
        }
    }
    return ::testing::AssertionSuccess();
}

Threads::Threads(int count) : before_(omp_get_max_threads()) { omp_set_num_threads(count); }
Threads::~Threads() { omp_set_num_threads(before_); }

GradientCheck& GradientCheck::input(std::string name, Owned& value, const Owned& gradient) {
    inputs_.push_back({std::move(name), &value, &gradient});
    return *this;
}

double GradientCheck::difference(Owned& value, std::int64_t index) const {
    const double centre = value.get(index);
    const auto at = [&](double steps) {
        value.set(index, centre + steps * step_);
        return loss_();
    };
    const double near = at(1.0) - at(-1.0), far = at(2.0) - at(-2.0);
    value.set(index, centre);
    return (8.0 * near - far) / (12.0 * step_);
}

::testing::AssertionResult GradientCheck::run(const Input& input) const {
    Owned& value = *input.value;
    if (value.count() == 0 || value.dtype() != DType::float64) {
        return ::testing::AssertionFailure()
               << input.name << " is empty or not float64: nothing would have been checked";
    }
    Owned expected(value.shape(), DType::float64);
    double largest = 0.0;
    for (std::int64_t i = 0; i < value.count(); ++i) {
        expected.set(i, difference(value, i));
        largest = std::max(largest, std::abs(expected.get(i)));
    }
    if (!(largest > 1e-9)) {
        return ::testing::AssertionFailure()
               << "the loss does not depend on " << input.name << ": nothing would have been checked";
    }
    return close("gradient of " + input.name, input.gradient->tensor(), expected, 0.0, tolerance_);
}

::testing::AssertionResult GradientCheck::run() const {
    const Threads one(1);  // thousands of tiny losses: waking the others would take longer than the work
    if (inputs_.empty()) return ::testing::AssertionFailure() << "no input was named";
    for (const Input& input : inputs_) {
        const ::testing::AssertionResult result = run(input);
        if (!result) return result;
    }
    return ::testing::AssertionSuccess();
}

}  // namespace locus::test
