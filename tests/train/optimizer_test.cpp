#include "train/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/device.h"
#include "tests/gpus.h"

namespace locus {
namespace {

constexpr std::int64_t bias_count = 5;

void declare(Parameters& parameters) {
    parameters.declare("weight", {3, 4});
    parameters.declare("bias", {bias_count}, Initialization::zeros).decay = false;
    parameters.declare("norm", {2}, Initialization::ones).decay = false;
    parameters.declare("last", {7});
    parameters.allocate();
}

double gradient_at(std::int64_t step, std::int64_t i) {
    return std::sin(0.7 * static_cast<double>(step * 31 + i)) * (i % 3 == 0 ? 4 : 0.1);
}

// AdamW as in the formula, one element at a time, in double.
struct Reference {
    OptimizerSettings settings;
    std::vector<double> p, m, v;
    std::vector<bool> decays;

    void update(std::int64_t step, double rate, const std::vector<double>& g) {
        double norm = 0;
        for (const double x : g) norm += x * x;
        norm = std::sqrt(norm);
        const double clip = settings.clip > 0 && norm > settings.clip ? settings.clip / norm : 1;
        const double t = static_cast<double>(step);
        for (std::size_t i = 0; i < p.size(); ++i) {
            m[i] = settings.beta1 * m[i] + (1 - settings.beta1) * clip * g[i];
            v[i] = settings.beta2 * v[i] + (1 - settings.beta2) * clip * g[i] * clip * g[i];
            const double direction = m[i] / (1 - std::pow(settings.beta1, t)) /
                                     (std::sqrt(v[i] / (1 - std::pow(settings.beta2, t))) + settings.epsilon);
            p[i] -= rate * (direction + (decays[i] ? settings.weight_decay * p[i] : 0));
        }
    }
};

template <class T>
void expect_matches_reference(DType dtype, double clip, double tolerance) {
    Parameters parameters(dtype);
    declare(parameters);
    OptimizerSettings settings;
    settings.weight_decay = 0.3;
    settings.clip = clip;
    Optimizer optimizer(settings, parameters);
    const auto count = static_cast<std::size_t>(parameters.count());
    Reference reference{
        settings, std::vector<double>(count), std::vector<double>(count), std::vector<double>(count), {}};
    for (const Parameter& parameter : parameters.all())
        reference.decays.insert(reference.decays.end(), static_cast<std::size_t>(parameter.value.count()),
                                parameter.decay);
    T* values = parameters.values().as<T>();
    for (std::size_t i = 0; i < count; ++i)
        values[i] = static_cast<T>(reference.p[i] = 0.25 * static_cast<double>(i) - 2);

    for (std::int64_t step = 1; step <= 5; ++step) {
        std::vector<double> g(count);
        for (std::size_t i = 0; i < count; ++i) {
            parameters.gradients().as<T>()[i] = static_cast<T>(gradient_at(step, static_cast<std::int64_t>(i)));
            g[i] = static_cast<double>(parameters.gradients().as<T>()[i]);
        }
        optimizer.measure_gradient_norm();
        optimizer.update(step, 0.01 * static_cast<double>(step));
        reference.update(step, 0.01 * static_cast<double>(step), g);
    }
    for (std::size_t i = 0; i < count; ++i) {
        const double difference = std::abs(static_cast<double>(values[i]) - reference.p[i]);
        EXPECT_TRUE(difference <= tolerance) << i << ": " << values[i] << " instead of " << reference.p[i];
    }
}

TEST(Optimizer, MatchesThePlainLoopInFloat64) { expect_matches_reference<double>(DType::float64, 1.0, 1e-13); }
TEST(Optimizer, MatchesThePlainLoopInFloat32) { expect_matches_reference<float>(DType::float32, 1.0, 2e-6); }
TEST(Optimizer, MatchesThePlainLoopWithoutClipping) { expect_matches_reference<double>(DType::float64, 0.0, 1e-13); }

TEST(Optimizer, DecaysOnlyWhatAsksForIt) {
    Parameters parameters(DType::float64);
    declare(parameters);
    OptimizerSettings settings;
    settings.weight_decay = 0.5;
    Optimizer optimizer(settings, parameters);
    for (std::int64_t i = 0; i < parameters.count(); ++i) parameters.values().as<double>()[i] = 2;
    optimizer.update(1, 0.1);  // gradients are zero: only decay moves anything
    for (const Parameter& parameter : parameters.all())
        EXPECT_DOUBLE_EQ(parameter.value.as<double>()[0], parameter.decay ? 2 * (1 - 0.1 * 0.5) : 2) << parameter.name;
}

TEST(Optimizer, GradientNormIsOverAllParameters) {
    Parameters parameters(DType::float32);
    declare(parameters);
    Optimizer optimizer({}, parameters);
    EXPECT_EQ(optimizer.gradient_norm(), 0);
    parameters.gradients().as<float>()[0] = 3;
    parameters.gradients().as<float>()[parameters.count() - 1] = -4;
    optimizer.measure_gradient_norm();
    EXPECT_DOUBLE_EQ(optimizer.gradient_norm(), 5);
    EXPECT_DOUBLE_EQ(*optimizer.squares().as<double>(), 25);
}

// Five steps from one start; the third gradient is not finite, and steps were queued behind it before anyone looked.
std::vector<float> values_after(Device device, std::int64_t steps, bool breaks) {
    Parameters parameters(DType::float32);
    declare(parameters);
    const std::int64_t count = parameters.count();
    for (std::int64_t i = 0; i < count; ++i) parameters.values().as<float>()[i] = 0.25F * static_cast<float>(i) - 2;
    OptimizerSettings settings;
    settings.weight_decay = 0.3;
    Optimizer optimizer(settings, parameters);
    parameters.move_to(device);
    optimizer.move_to(device);
    std::vector<float> numbers(static_cast<std::size_t>(count));
    for (std::int64_t step = 1; step <= steps; ++step) {
        for (std::int64_t i = 0; i < count; ++i)
            numbers[static_cast<std::size_t>(i)] = static_cast<float>(gradient_at(step, i));
        if (breaks && step == 3) numbers.back() = std::numeric_limits<float>::infinity();
        copy(Tensor(numbers.data(), {count}, DType::float32), parameters.gradients());
        optimizer.measure_gradient_norm();
        optimizer.update(step, 0.1);
    }
    EXPECT_EQ(std::isfinite(optimizer.gradient_norm()), !breaks);
    copy(parameters.values(), Tensor(numbers.data(), {count}, DType::float32));
    return numbers;
}

TEST(Optimizer, OnEveryDeviceStepsBehindOneThatIsNotFiniteChangeNothing) {
    for (const Device device : test::cpu_and_gpus()) {
        EXPECT_EQ(values_after(device, 5, true), values_after(device, 2, false)) << name_of(device);
        EXPECT_NE(values_after(device, 5, false), values_after(device, 2, false)) << name_of(device);
    }
}

TEST(Optimizer, DoesOnAGpuWhatItDoesOnTheProcessor) {
    const std::vector<float> expected = values_after(Device::cpu, 5, false);
    for (const Device device : test::gpus()) {
        const std::vector<float> got = values_after(device, 5, false);
        for (std::size_t i = 0; i < got.size(); ++i)
            EXPECT_NEAR(got[i], expected[i], 2e-6) << name_of(device) << ' ' << i;
    }
}

}  // namespace
}  // namespace locus
