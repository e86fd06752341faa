#include "kernels/gelu.h"

#include <cmath>
#include <limits>
#include <numbers>
#include <stdexcept>

#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

Owned straightforward(const Owned& x, const Owned& bias) {
    Owned y(x.shape(), DType::float64);
    for (std::int64_t i = 0; i < x.count(); ++i) {
        const double z = x.get(i) + bias.get(i % x.shape()[1]);
        y.set(i, z / 2.0 * (1.0 + std::erf(z / std::numbers::sqrt2)));
    }
    return y;
}

struct Case {
    std::int64_t rows, columns;
};
class GeluOf : public ::testing::TestWithParam<Case> {};

TEST_P(GeluOf, ForwardFollowsTheFormula) {
    const Shape shape = {GetParam().rows, GetParam().columns};
    for (DType dtype : {DType::float32, DType::float64}) {
        const Owned x = normals(shape, dtype, 1, 2.0), bias = normals({shape[1]}, dtype, 2);
        Owned y(shape, dtype);
        gelu_forward({x, bias, y});
        EXPECT_TRUE(close("y", y, straightforward(x, bias), dtype == DType::float32 ? 1e-6 : 1e-14, 0.0));
    }
}

class GeluOfFew : public GeluOf {};  // numbers: each is moved four times

TEST_P(GeluOfFew, BackwardMatchesCentralDifferencesInFloat64) {
    const Shape shape = {GetParam().rows, GetParam().columns};
    Owned x = normals(shape, DType::float64, 1), bias = normals({shape[1]}, DType::float64, 2),
          y(shape, DType::float64);
    const Owned dy = normals(shape, DType::float64, 3);
    Owned dx(shape, DType::float64), dbias = zeros({shape[1]}, DType::float64);
    gelu_backward({dy, x, bias, dx, dbias});
    GradientCheck check([&] {
        gelu_forward({x, bias, y});
        return dot(dy, y);
    });
    EXPECT_TRUE(check.input("x", x, dx).input("bias", bias, dbias).run());
}

TEST_P(GeluOf, BackwardInFloat32IsCloseToFloat64) {
    const Shape shape = {GetParam().rows, GetParam().columns};
    const Owned x = normals(shape, DType::float32, 1), bias = normals({shape[1]}, DType::float32, 2);
    const Owned dy = normals(shape, DType::float32, 3);
    const auto run = [&](DType dtype) {
        Owned dx(shape, dtype), dbias = zeros({shape[1]}, dtype);
        gelu_backward({converted(dy, dtype), converted(x, dtype), converted(bias, dtype), dx, dbias});
        return std::pair{dx, dbias};
    };
    const auto single = run(DType::float32), accurate = run(DType::float64);
    EXPECT_TRUE(close("dx", single.first, accurate.first, 0.0, 1e-6));
    EXPECT_TRUE(close("dbias", single.second, accurate.second, 1e-6, 1e-6));
}

TEST_P(GeluOf, GivesOnAGpuWhatItGivesOnTheProcessor) {
    const Shape shape = {GetParam().rows, GetParam().columns};
    for (const DType dtype : {DType::float32, DType::bfloat16}) {
        const double tolerance = dtype == DType::float32 ? 1e-6 : 4e-3;
        const Owned x = converted(normals(shape, dtype, 1, 2.0), DType::float32);
        const Owned dy = converted(normals(shape, dtype, 3), DType::float32);
        const Owned bias = normals({shape[1]}, DType::float32, 2);
        Owned y(shape, DType::float32), dx(shape, DType::float32), dbias = normals({shape[1]}, DType::float32, 4);
        gelu_forward({x, bias, y});
        gelu_backward({dy, x, bias, dx, dbias});
        on_each_gpu([&] {
            const Owned here = normals(shape, dtype, 1, 2.0), bias_here = normals({shape[1]}, DType::float32, 2);
            Owned got(shape, dtype), got_dx(shape, dtype), inside = normals(shape, dtype, 3);
            Owned got_dbias = normals({shape[1]}, DType::float32, 4), dbias_inside = got_dbias;
            gelu_forward({here, bias_here, got});
            gelu_backward({inside, here, bias_here, got_dx, got_dbias});
            gelu_backward({inside, here, bias_here, inside, dbias_inside});
            EXPECT_TRUE(close("y", got, y, 0.0, tolerance));
            EXPECT_TRUE(close("dx", got_dx, dx, 0.0, tolerance));
            EXPECT_TRUE(close("dbias", got_dbias, dbias, 1e-6, 1e-6));  // of numbers that are not rounded yet
            EXPECT_TRUE(identical("dx in place", inside, got_dx));
            EXPECT_TRUE(identical("dbias in place", dbias_inside, got_dbias));
        });
    }
}

const auto few_numbers = ::testing::Values(Case{1, 1}, Case{3, 17}, Case{2, 100}, Case{70, 3}, Case{5, 16});
INSTANTIATE_TEST_SUITE_P(Shapes, GeluOfFew, few_numbers);
INSTANTIATE_TEST_SUITE_P(Shapes, GeluOf, few_numbers);
INSTANTIATE_TEST_SUITE_P(LargeShapes, GeluOf, ::testing::Values(Case{40, 264}));

TEST(Gelu, IsAccurateInBothTails) {
    constexpr std::int64_t n = 4001;
    Owned x({1, n}, DType::float32);
    for (std::int64_t i = 0; i < n; ++i) x.set(i, -20.0 + 0.01 * static_cast<double>(i));
    const Owned bias = zeros({n}, DType::float32);
    Owned y({1, n}, DType::float32);
    gelu_forward({x, bias, y});
    for (std::int64_t i = 0; i < n; ++i) {
        const double z = x.get(i), expected = z * 0.5 * std::erfc(-z / std::numbers::sqrt2);
        const bool ok = std::abs(y.get(i) - expected) <= 2e-7 * std::abs(z) + 1e-30;
        EXPECT_TRUE(ok) << "at " << z << " got " << y.get(i) << ", expected " << expected;
        const bool in_left_tail = z > -8.0 && z < 0.0;
        EXPECT_TRUE(!in_left_tail || std::abs(y.get(i) / expected - 1.0) <= 5e-6) << z;
    }
    on_each_gpu([&] {
        Owned there({1, n}, DType::float32), got({1, n}, DType::float32);
        for (std::int64_t i = 0; i < n; ++i) there.set(i, x.get(i));
        gelu_forward({there, zeros({n}, DType::float32), got});
        for (std::int64_t i = 0; i < n; ++i) {
            EXPECT_NEAR(got.get(i), y.get(i), 3e-7 * std::abs(x.get(i)) + 1e-30);
            const bool in_left_tail = x.get(i) > -8.0 && x.get(i) < 0.0;
            EXPECT_TRUE(!in_left_tail || std::abs(got.get(i) / y.get(i) - 1.0) <= 2e-5) << x.get(i);
        }
    });
}

TEST(Gelu, NonFiniteInputsStayVisible) {
    const double infinity = std::numeric_limits<double>::infinity();
    for (DType dtype : {DType::float32, DType::float64}) {
        Owned x = zeros({1, 3}, dtype);
        x.set(0, std::numeric_limits<double>::quiet_NaN());
        x.set(1, infinity);
        const Owned bias = zeros({3}, dtype);
        Owned y({1, 3}, dtype), dx({1, 3}, dtype), dbias = zeros({3}, dtype);
        gelu_forward({x, bias, y});
        EXPECT_TRUE(std::isnan(y.get(0)));
        EXPECT_FALSE(std::isfinite(y.get(1)));
        EXPECT_EQ(y.get(2), 0.0);
        gelu_backward({filled({1, 3}, dtype, 1.0), x, bias, dx, dbias});
        EXPECT_TRUE(std::isnan(dx.get(0)));
        EXPECT_TRUE(std::isnan(dbias.get(0)));
        EXPECT_DOUBLE_EQ(dx.get(2), 0.5);
    }
}

TEST(Gelu, BackwardAddsToTheBiasAndMayWorkInPlace) {
    const Shape shape = {40, 9};
    const Owned x = normals(shape, DType::float64, 1), bias = normals({9}, DType::float64, 2);
    const Owned dy = normals(shape, DType::float64, 3);
    Owned dx(shape, DType::float64), once = zeros({9}, DType::float64), inside = dy;
    gelu_backward({dy, x, bias, dx, once});
    Owned twice = once, doubled = once;
    gelu_backward({inside, x, bias, inside, twice});
    for (std::int64_t c = 0; c < 9; ++c) doubled.set(c, 2.0 * once.get(c));
    EXPECT_TRUE(close("dbias twice", twice, doubled, 0.0, 1e-15));
    EXPECT_TRUE(identical("dx in place", inside, dx));
}

TEST(Gelu, BitsDoNotDependOnTheNumberOfThreads) {
    const Shape shape = {333, 65};
    const Owned x = normals(shape, DType::float32, 1), bias = normals({65}, DType::float32, 2);
    const Owned dy = normals(shape, DType::float32, 3);
    Owned first, first_bias;
    for (int threads : {1, 2, 3}) {
        const Threads guard(threads);
        Owned dx(shape, DType::float32), dbias = zeros({65}, DType::float32);
        gelu_backward({dy, x, bias, dx, dbias});
        if (threads == 1) first = dx, first_bias = dbias;
        EXPECT_TRUE(identical("dx", dx, first));
        EXPECT_TRUE(identical("dbias", dbias, first_bias));
    }
}

TEST(Gelu, BrokenContractsAreNamed) {
    const Owned x = normals({4, 6}, DType::float32, 1), bias = normals({5}, DType::float32, 2);
    Owned y = x;
    EXPECT_THROW(gelu_forward({x, bias, y}), std::logic_error);
    EXPECT_THROW(gelu_forward({x, normals({6}, DType::float64, 2), y}), std::logic_error);
    const Owned half({4, 6}, DType::bfloat16), half_bias({6}, DType::bfloat16);
    EXPECT_THROW(gelu_forward({half, half_bias, half}), std::logic_error);
}

TEST(Gelu, OfNoRowsLeavesTheBiasGradient) {
    const Owned none({0, 6}, DType::float32), bias = normals({6}, DType::float32, 2);
    Owned dbias = normals({6}, DType::float32, 3);
    const Owned before = dbias;
    gelu_forward({none, bias, none});
    gelu_backward({none, none, bias, none, dbias});
    EXPECT_TRUE(identical("dbias", dbias, before));
    on_each_gpu([&] {
        const Owned nothing({0, 6}, DType::float32), bias_here = normals({6}, DType::float32, 2),
                                                     kept = normals({6}, DType::float32, 2);
        gelu_forward({nothing, bias_here, nothing});
        gelu_backward({nothing, nothing, bias_here, nothing, kept});
        EXPECT_TRUE(identical("dbias", kept, bias_here));
    });
}

}  // namespace
}  // namespace locus::test
