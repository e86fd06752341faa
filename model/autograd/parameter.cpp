#include "model/autograd/parameter.h"

#include <cmath>
#include <numbers>
#include <utility>

#include "kernels/device.h"
#include "kernels/random.h"
#include "kernels/round_to_bfloat16.h"

namespace locus {
namespace {

// FNV-1a of the name without what stands before its first dot ("bert.", "deberta.", "cls.").
std::uint64_t hash_of(const std::string& name) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : name.substr(name.find('.') + 1)) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return hash;
}

// Element e of a parameter is normal number e of philox(key (seed, stream_weights), counter (e / 4, hash of the name)).
template <class T>
void fill_normal(T* values, std::int64_t count, std::uint32_t seed, std::uint64_t hash, double deviation) {
    const auto low = static_cast<std::uint32_t>(hash), high = static_cast<std::uint32_t>(hash >> 32);
    for (std::int64_t begin = 0; begin < count; begin += 4) {
        const Philox4 bits = philox({seed, stream_weights}, {static_cast<std::uint32_t>(begin / 4), low, high, 0});
        const auto first = box_muller(bits[0], bits[1]);
        const auto second = box_muller(bits[2], bits[3]);
        const double four[] = {first[0], first[1], second[0], second[1]};
        for (std::int64_t e = begin; e < count && e < begin + 4; ++e) {
            values[e] = static_cast<T>(deviation * four[e - begin]);
        }
    }
}

template <class T>
void fill_uniform(T* values, std::int64_t count, std::uint32_t seed, std::uint64_t hash, double bound) {
    const auto low = static_cast<std::uint32_t>(hash), high = static_cast<std::uint32_t>(hash >> 32);
    for (std::int64_t e = 0; e < count; ++e) {
        const Philox4 bits = philox({seed, stream_weights}, {static_cast<std::uint32_t>(e / 4), low, high, 0});
        values[e] = static_cast<T>(bound * (2 * uniform(bits[static_cast<std::size_t>(e % 4)]) - 1));
    }
}

template <class T>
void fill_sinusoidal(T* values, Shape shape, double deviation) {
    const std::int64_t rows = shape[0], columns = shape[1];
    for (std::int64_t c = 0; c < columns; ++c) {
        const std::int64_t pair = c / 2;
        const double frequency = std::pow(10000.0, -2.0 * static_cast<double>(pair) / static_cast<double>(columns));
        for (std::int64_t i = 0; i < rows; ++i) {
            const double angle = static_cast<double>(i) * frequency,
                         wave = c % 2 == 0 ? std::sin(angle) : std::cos(angle);
            values[i * columns + c] =
                static_cast<T>(deviation * std::numbers::sqrt2 * wave);  // a wave's own is 1 / sqrt 2
        }
    }
}

template <class T>
void fill(const Parameter& parameter, std::uint32_t seed, double deviation) {
    T* const values = parameter.value.as<T>();
    const std::int64_t count = parameter.value.count();
    switch (parameter.initialization) {
        case Initialization::zeros: std::fill(values, values + count, T(0)); return;
        case Initialization::ones: std::fill(values, values + count, T(1)); return;
        case Initialization::sinusoidal: fill_sinusoidal(values, parameter.value.shape, deviation); return;
        case Initialization::fan_in: {
            const double columns = static_cast<double>(count) / static_cast<double>(parameter.value.shape[0]);
            fill_uniform(values, count, seed, hash_of(parameter.name), 1 / std::sqrt(columns));
            return;
        }
        case Initialization::uniform: fill_uniform(values, count, seed, hash_of(parameter.name), 1); return;
        case Initialization::given:
            for (std::int64_t e = 0; e < count; ++e)
                values[e] = static_cast<T>(parameter.start[static_cast<std::size_t>(e)]);
            return;
        case Initialization::normal: fill_normal(values, count, seed, hash_of(parameter.name), deviation);
    }
    if (parameter.zero_row >= 0) {
        const std::int64_t columns = parameter.value.shape[-1];
        std::fill_n(values + parameter.zero_row * columns, columns, T(0));
    }
}

}  // namespace

Parameter& Parameters::declare(std::string name, Shape shape, Initialization initialization) {
    LOCUS_CHECK(find(name) == nullptr, "parameters", name + " is declared twice");
    Parameter& parameter = list_.emplace_back();
    parameter.name = std::move(name);
    parameter.value = Tensor(nullptr, shape, dtype_);
    parameter.gradient = parameter.value;
    parameter.initialization = initialization;
    // Biases and norms are the one-dimensional ones: decaying them towards 0 has no purpose (reference-models: all stacks exempt them).
    parameter.decay = shape.rank() > 1;
    count_ += shape.count();
    return parameter;
}

Parameter& Parameters::declare(std::string name, Shape shape, std::vector<double> start) {
    LOCUS_CHECK(static_cast<std::int64_t>(start.size()) == shape.count(), "parameters",
                name + " is " + shape.to_string() + " and starts as " + std::to_string(start.size()) + " numbers");
    Parameter& parameter = declare(std::move(name), shape, Initialization::given);
    parameter.start = std::move(start);
    return parameter;
}

void Parameters::obtain(Device device) {
    device_ = device;
    values_ = Buffer(static_cast<std::size_t>(count_ * size_of(dtype_)), device);
    gradients_ = Buffer(static_cast<std::size_t>(count_ * size_of(dtype_)), device);
    rounded_ = Buffer();
    std::int64_t offset = 0;
    for (Parameter& parameter : list_) {
        const Shape shape = parameter.value.shape;
        parameter.value = Tensor(static_cast<char*>(values_.data()) + offset, shape, dtype_, device);
        parameter.gradient = Tensor(static_cast<char*>(gradients_.data()) + offset, shape, dtype_, device);
        parameter.rounded = Tensor();
        offset += parameter.value.bytes();
    }
}

void Parameters::allocate() { obtain(Device::cpu); }

void Parameters::move_to(Device device) {
    if (device == device_) return;
    const Tensor before = values();
    const Buffer kept = std::move(values_);
    obtain(device);
    copy(before, values());
}

// Tensor cores read 16 bytes at a time. The few weights that would not begin at such a place, behind a table of odd size, are left to the product.
void Parameters::keep_rounded() {
    rounded_ = Buffer(static_cast<std::size_t>(count_ * size_of(DType::bfloat16)), device_);
    std::int64_t offset = 0;
    for (Parameter& parameter : list_) {
        if (offset % 16 == 0)
            parameter.rounded =
                Tensor(static_cast<char*>(rounded_.data()) + offset, parameter.value.shape, DType::bfloat16, device_);
        offset += parameter.value.count() * size_of(DType::bfloat16);
    }
}

void Parameters::round() const {
    if (rounded_.bytes() == 0) return;
    const Tensor all(rounded_.data(), {count_}, DType::bfloat16, device_);
    const std::int64_t whole_eights = count_ / 8 * 8;  // what the kernel is fast for
    for (const auto& [begin, end] : {std::pair{std::int64_t{0}, whole_eights}, {whole_eights, count_}})
        round_to_bfloat16({.x = values().slice(0, begin, end).reshape({1, end - begin}),
                           .y = all.slice(0, begin, end).reshape({1, end - begin})});
}

Parameter* Parameters::find(std::string_view name) {
    for (Parameter& parameter : list_) {
        if (parameter.name == name) return &parameter;
    }
    return nullptr;
}

void Parameters::zero_gradients() { fill_zeros(gradients()); }

void Parameters::initialize(std::uint32_t seed, double deviation) {
    for (const Parameter& parameter : list_) {
        if (dtype_ == DType::float64) {
            fill<double>(parameter, seed, deviation);
        } else {
            fill<float>(parameter, seed, deviation);
        }
    }
}

Parameter joined(const Parameter& first, const Parameter& last) {
    Parameter whole = first;
    const char* const begin = static_cast<const char*>(first.value.data);
    const std::int64_t bytes = static_cast<const char*>(last.value.data) + last.value.bytes() - begin;
    Shape shape = first.value.shape;
    const std::int64_t row = first.value.bytes() / shape[0];
    LOCUS_CHECK(bytes > 0 && bytes % row == 0, "joined", first.name + " and " + last.name + " do not fit together");
    shape[0] = bytes / row;
    whole.value = Tensor(first.value.data, shape, first.value.dtype, first.value.device);
    whole.gradient = Tensor(first.gradient.data, shape, first.gradient.dtype, first.gradient.device);
    if (first.rounded) whole.rounded = Tensor(first.rounded.data, shape, DType::bfloat16, first.rounded.device);
    return whole;
}

Parameter reshaped(const Parameter& whole, Shape shape) {
    Parameter same = whole;
    same.value = whole.value.reshape(shape);
    same.gradient = whole.gradient.reshape(shape);
    if (whole.rounded) same.rounded = whole.rounded.reshape(shape);
    return same;
}

Parameter rows_of(const Parameter& whole, std::int64_t begin, std::int64_t end) {
    Parameter part = whole;
    part.value = whole.value.slice(0, begin, end);
    part.gradient = whole.gradient.slice(0, begin, end);
    if (whole.rounded) part.rounded = whole.rounded.slice(0, begin, end);
    return part;
}

}  // namespace locus
