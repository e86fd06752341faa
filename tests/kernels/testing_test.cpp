// The tester is tested: each kind of wrong result must be reported.

#include "tests/kernels/testing.h"

#include <cmath>
#include <limits>

namespace locus::test {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

// loss = sum c_i sin(x_i) y_i^2
class Tester : public ::testing::Test {
protected:
    GradientCheck check() {
        return GradientCheck([this] {
            double loss = 0.0;
            for (std::int64_t i = 0; i < x.count(); ++i) {
                loss += c.get(i) * std::sin(x.get(i)) * y.get(i) * y.get(i);
            }
            return loss;
        });
    }
    Owned right_gradient(double factor = 1.0) const {
        Owned dx(x.shape(), DType::float64);
        for (std::int64_t i = 0; i < x.count(); ++i) {
            dx.set(i, factor * c.get(i) * std::cos(x.get(i)) * y.get(i) * y.get(i));
        }
        return dx;
    }

    Owned x = normals({2, 5}, DType::float64, 1), y = normals({2, 5}, DType::float64, 2);
    Owned c = normals({2, 5}, DType::float64, 3);
};

TEST_F(Tester, AcceptsTheRightGradientAndLeavesTheInputAlone) {
    const Owned before = x, dx = right_gradient();
    EXPECT_TRUE(check().input("x", x, dx).run());
    EXPECT_TRUE(identical("x", x, before));
}

TEST_F(Tester, ReportsAZeroGradient) {
    const Owned dx = zeros(x.shape(), DType::float64);
    EXPECT_FALSE(check().input("x", x, dx).run());
}

TEST_F(Tester, ReportsAScaledGradient) {
    for (double factor : {-7.0, -1.0, 0.5, 1.0001}) {
        const Owned dx = right_gradient(factor);
        EXPECT_FALSE(check().input("x", x, dx).run()) << factor;
    }
}

TEST_F(Tester, ReportsASingleNaN) {
    Owned dx = right_gradient();
    dx.set(7, nan);
    const ::testing::AssertionResult result = check().input("x", x, dx).run();
    EXPECT_FALSE(result);
    EXPECT_NE(std::string(result.message()).find("at 7"), std::string::npos) << result.message();
}

TEST_F(Tester, ReportsADroppedFactor) {
    Owned dx = right_gradient();
    for (std::int64_t i = 0; i < x.count(); ++i) dx.set(i, dx.get(i) / y.get(i));
    EXPECT_FALSE(check().input("x", x, dx).run());
}

TEST_F(Tester, ReportsOneWrongInputAmongRightOnes) {
    const Owned dx = right_gradient(), wrong = zeros(y.shape(), DType::float64);
    EXPECT_FALSE(check().input("x", x, dx).input("y", y, wrong).run());
}

TEST_F(Tester, ReportsALossThatDoesNotDependOnTheInput) {
    Owned other = normals({3}, DType::float64, 4);
    const Owned zero = zeros({3}, DType::float64);
    EXPECT_FALSE(check().input("other", other, zero).run());
}

TEST_F(Tester, ReportsSkippedInputs) {
    EXPECT_FALSE(check().run());
    Owned empty({0, 3}, DType::float64), single = normals({3}, DType::float32, 1);
    const Owned none = empty, gradient = single;
    EXPECT_FALSE(check().input("empty", empty, none).run());
    EXPECT_FALSE(check().input("single", single, gradient).run());
}

TEST_F(Tester, ReportsALossThatIsNotANumber) {
    const Owned dx = right_gradient();
    c.set(0, nan);
    EXPECT_FALSE(check().input("x", x, dx).run());
}

TEST(Close, ReportsDifferencesNaNShapesAndEmptiness) {
    const Owned a = normals({3, 4}, DType::float32, 1);
    EXPECT_TRUE(close("a", a, a, 0.0, 0.0));
    Owned b = a;
    b.set(5, b.get(5) + 1e-3);
    EXPECT_FALSE(close("b", b, a, 0.0, 1e-6));
    EXPECT_TRUE(close("b", b, a, 1e-2, 0.0));
    b.set(5, nan);
    EXPECT_FALSE(close("b", b, a, 1e30, 1.0));
    EXPECT_FALSE(close("b", a, b, 1e30, 0.0));
    EXPECT_FALSE(close("shape", normals({4, 3}, DType::float32, 1), a, 1e30, 0.0));
    EXPECT_FALSE(close("empty", Owned({0}, DType::float32), Owned({0}, DType::float32), 0.0, 0.0));
}

TEST(Close, NamesTheWorstElement) {
    const Owned a = zeros({10}, DType::float64);
    Owned b = a;
    b.set(2, 1.0);
    b.set(6, 5.0);
    const std::string message = close("b", b, a, 1e-3, 0.0).message();
    EXPECT_NE(message.find("2 of 10"), std::string::npos) << message;
    EXPECT_NE(message.find("at 6"), std::string::npos) << message;
    EXPECT_NE(message.find("got 5, expected 0, tolerance 0.001"), std::string::npos) << message;
}

TEST(Close, ReadsThroughStrides) {
    const Owned wide = normals({3, 6}, DType::float64, 1);
    const Tensor part = wide.tensor().slice(1, 2, 4);
    EXPECT_EQ(element(part, 3), wide.get(1, 3));
    EXPECT_FALSE(close("part", part, wide.tensor().slice(1, 1, 3), 0.0, 1e-9));
}

TEST(Identical, ReportsASignOfZeroAndALastBit) {
    const Owned a = zeros({2}, DType::float32);
    Owned b = a;
    EXPECT_TRUE(identical("b", b, a));
    b.set(1, -0.0);
    EXPECT_FALSE(identical("b", b, a));
}

}  // namespace
}  // namespace locus::test
