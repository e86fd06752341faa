#include "docs/learn/examples/softcap/softcap.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "docs/learn/examples/softcap/operation.h"
#include "tests/model/gradient_check.h"

namespace locus {
namespace {

constexpr double bound = 2.0;

/// 3 x 4 standard normal numbers: some where the curve is straight, some where it is flat.
struct Input {
    Parameters parameters{DType::float64};
    Parameter& x = parameters.declare("x", {3, 4});
    Input() {
        parameters.allocate();
        testing::fill_random(x.value.as<double>(), 12, 1, 2.0);
    }
};

template <class T>
std::vector<T> capped(std::vector<T> x) {
    const Tensor tensor(x.data(), {static_cast<std::int64_t>(x.size())}, dtype_of<T>());
    softcap_forward({.x = tensor, .y = tensor, .bound = bound});
    return x;
}

TEST(Softcap, HasTheValuesOfItsFormula) {
    const std::vector<double> y = capped<double>({0.0, bound * std::atanh(0.5), -bound * std::atanh(0.25), 1e-5, 1e9});
    EXPECT_EQ(y[0], 0.0);
    EXPECT_NEAR(y[1], 0.5 * bound, 1e-15);
    EXPECT_NEAR(y[2], -0.25 * bound, 1e-15);
    EXPECT_NEAR(y[3], 1e-5, 1e-15);
    EXPECT_EQ(y[4], bound);
}

TEST(Softcap, BackwardMatchesCentralDifferencesInFloat64) {
    Input input;
    testing::expect_gradients_match(input.parameters,
                                    [&](Tape& tape) { return softcap(tape, tape.parameter(input.x), bound); });
}

TEST(Softcap, BackwardAddsWhereAnotherConsumerHasWritten) {
    Input input;
    testing::expect_gradients_match(input.parameters, [&](Tape& tape) {
        const Var h = softcap(tape, tape.parameter(input.x), bound);
        return add(tape, softcap(tape, h, bound), h);
    });
}

TEST(Softcap, Float32AgreesWithFloat64) {
    Input input;
    const double* const x = input.x.value.as<double>();
    std::vector<double> wide(x, x + 12), wide_dx(12);
    std::vector<float> narrow(x, x + 12), narrow_dx(12);
    wide = capped(wide);
    narrow = capped(narrow);
    softcap_backward({.dy = input.x.value,
                      .y = Tensor(wide.data(), {3, 4}, DType::float64),
                      .dx = Tensor(wide_dx.data(), {3, 4}, DType::float64),
                      .bound = bound});
    std::vector<float> dy(x, x + 12);
    softcap_backward({.dy = Tensor(dy.data(), {3, 4}, DType::float32),
                      .y = Tensor(narrow.data(), {3, 4}, DType::float32),
                      .dx = Tensor(narrow_dx.data(), {3, 4}, DType::float32),
                      .bound = bound});
    for (std::size_t n = 0; n < 12; ++n) {
        EXPECT_NEAR(narrow[n], wide[n], 1e-6) << n;
        EXPECT_NEAR(narrow_dx[n], wide_dx[n], 1e-5) << n;
    }
}

TEST(Softcap, LetsNaNThroughAndRefusesABadBound) {
    EXPECT_TRUE(std::isnan(capped<float>({std::nanf("")})[0]));
    double x = 1.0;
    const Tensor tensor(&x, {1}, DType::float64);
    for (const double wrong : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()})
        EXPECT_THROW(softcap_forward({.x = tensor, .y = tensor, .bound = wrong}), std::logic_error) << wrong;
}

/// The right value with a wrong gradient: `factor` times what arrives. The slope is forgotten.
Var broken_softcap(Tape& tape, Var x, double factor) {
    const Tensor value = tape.allocate(x.shape(), DType::float64);
    softcap_forward({.x = x.value(), .y = value, .bound = bound});
    const Var y = tape.variable(value);
    tape.record({}, [&tape, x, y, factor] {
        const Tensor dy = tape.gradient_of(y), dx = tape.gradient_sum(x);
        for (std::int64_t n = 0; n < dx.count(); ++n) dx.as<double>()[n] += factor * dy.as<double>()[n];
    });
    return y;
}

TEST(GradientCheck, SeesWhatIsWrongWithASoftcap) {
    Input input;
    for (const double factor : {1.0, 0.0, -7.0, std::nan("")}) {
        const testing::GradientError error = testing::gradient_error(
            input.parameters, [&](Tape& tape) { return broken_softcap(tape, tape.parameter(input.x), factor); });
        EXPECT_GT(error.value, 0.1) << factor;
    }
}

}  // namespace
}  // namespace locus
