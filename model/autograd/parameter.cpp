#include "model/autograd/parameter.h"

#include <cmath>
#include <cstring>
#include <numbers>

#include "kernels/random.h"

namespace locus {
namespace {

// Element e of parameter number n is normal number e of philox(key (seed, stream_weights), counter (e / 4, n, 0, 0)).
template <class T>
void fill_normal(T* values, std::int64_t count, std::uint32_t seed, std::uint32_t number, double deviation) {
    for (std::int64_t begin = 0; begin < count; begin += 4) {
        const Philox4 bits = philox({seed, stream_weights}, {static_cast<std::uint32_t>(begin / 4), number, 0, 0});
        const auto first = box_muller(bits[0], bits[1]);
        const auto second = box_muller(bits[2], bits[3]);
        const double four[] = {first[0], first[1], second[0], second[1]};
        for (std::int64_t e = begin; e < count && e < begin + 4; ++e) {
            values[e] = static_cast<T>(deviation * four[e - begin]);
        }
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
void fill(const Parameter& parameter, std::uint32_t seed, std::uint32_t number, double deviation) {
    T* const values = parameter.value.as<T>();
    const std::int64_t count = parameter.value.count();
    switch (parameter.initialization) {
        case Initialization::zeros: std::fill(values, values + count, T(0)); return;
        case Initialization::ones: std::fill(values, values + count, T(1)); return;
        case Initialization::sinusoidal: fill_sinusoidal(values, parameter.value.shape, deviation); return;
        case Initialization::normal: fill_normal(values, count, seed, number, deviation);
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

void Parameters::allocate() {
    values_ = Buffer(static_cast<std::size_t>(count_ * size_of(dtype_)));
    gradients_ = Buffer(static_cast<std::size_t>(count_ * size_of(dtype_)));
    std::int64_t offset = 0;
    for (Parameter& parameter : list_) {
        parameter.value.data = static_cast<char*>(values_.data()) + offset;
        parameter.gradient.data = static_cast<char*>(gradients_.data()) + offset;
        offset += parameter.value.bytes();
    }
}

Parameter* Parameters::find(std::string_view name) {
    for (Parameter& parameter : list_) {
        if (parameter.name == name) return &parameter;
    }
    return nullptr;
}

void Parameters::zero_gradients() {
    std::memset(gradients_.data(), 0, static_cast<std::size_t>(count_ * size_of(dtype_)));
}

void Parameters::initialize(std::uint32_t seed, double deviation) {
    std::uint32_t number = 0;
    for (const Parameter& parameter : list_) {
        if (dtype_ == DType::float64) {
            fill<double>(parameter, seed, number, deviation);
        } else {
            fill<float>(parameter, seed, number, deviation);
        }
        ++number;
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
    whole.value = Tensor(first.value.data, shape, first.value.dtype);
    whole.gradient = Tensor(first.gradient.data, shape, first.gradient.dtype);
    return whole;
}

}  // namespace locus
