#include "kernels/adamw.h"

#include <cmath>
#include <limits>
#include <stdexcept>

#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

struct Problem {
    Problem(std::int64_t n, DType dtype)
        : parameter(normals({n}, dtype, 1)),
          gradient(normals({n}, dtype, 2)),
          m(zeros({n}, dtype)),
          v(zeros({n}, dtype)) {}
    AdamW args(std::int64_t step) const {
        return {.parameter = parameter,
                .gradient = gradient,
                .m = m,
                .v = v,
                .learning_rate = 0.01,
                .beta1 = 0.9,
                .beta2 = 0.98,
                .epsilon = 1e-6,
                .weight_decay = 0.1,
                .clip = 0.5,
                .step = step};
    }
    Owned parameter, gradient, m, v;
};

// The formula of adamw.h, element by element in double.
void straightforward(Problem& problem, const AdamW& args) {
    for (std::int64_t i = 0; i < problem.parameter.count(); ++i) {
        const double g = args.clip * problem.gradient.get(i), before = problem.parameter.get(i);
        const double m = args.beta1 * problem.m.get(i) + (1.0 - args.beta1) * g;
        const double v = args.beta2 * problem.v.get(i) + (1.0 - args.beta2) * g * g;
        const double t = static_cast<double>(args.step);
        const double m_hat = m / (1.0 - std::pow(args.beta1, t)), v_hat = v / (1.0 - std::pow(args.beta2, t));
        problem.m.set(i, m);
        problem.v.set(i, v);
        problem.parameter.set(
            i, before - args.learning_rate * (m_hat / (std::sqrt(v_hat) + args.epsilon) + args.weight_decay * before));
    }
}

class AdamWOf : public ::testing::TestWithParam<std::int64_t> {};

TEST_P(AdamWOf, FollowsTheFormulaForManySteps) {
    for (DType dtype : {DType::float32, DType::float64}) {
        Problem problem(GetParam(), dtype), expected(GetParam(), DType::float64);
        expected.parameter = converted(problem.parameter, DType::float64);
        for (std::int64_t step = 1; step <= 20; ++step) {
            problem.gradient = normals({GetParam()}, dtype, static_cast<std::uint32_t>(100 + step));
            expected.gradient = converted(problem.gradient, DType::float64);
            adamw(problem.args(step));
            straightforward(expected, problem.args(step));
        }
        const double relative = dtype == DType::float32 ? 2e-6 : 1e-14;
        EXPECT_TRUE(close("parameter", problem.parameter, expected.parameter, 0.0, relative));
        EXPECT_TRUE(close("m", problem.m, expected.m, 0.0, relative));
        EXPECT_TRUE(close("v", problem.v, expected.v, 0.0, relative));
    }
}

TEST_P(AdamWOf, GivesOnAGpuWhatItGivesOnTheProcessor) {
    const auto solved = [&] {
        Problem problem(GetParam(), DType::float32);
        for (std::int64_t step = 1; step <= 5; ++step) {
            problem.gradient = normals({GetParam()}, DType::float32, static_cast<std::uint32_t>(100 + step));
            adamw(problem.args(step));
            wait_for(OnDevice::current());
        }
        return problem;
    };
    const Problem expected = solved();
    on_each_gpu([&] {
        const Problem got = solved();
        EXPECT_TRUE(close("parameter", got.parameter, expected.parameter, 0.0, 1e-6));
        EXPECT_TRUE(close("m", got.m, expected.m, 0.0, 1e-6));
        EXPECT_TRUE(close("v", got.v, expected.v, 0.0, 1e-6));
    });
}

INSTANTIATE_TEST_SUITE_P(Sizes, AdamWOf, ::testing::Values(1, 3, 17, 100, 5000));

TEST(AdamW, TheFirstStepMovesByTheLearningRateAgainstTheGradient) {
    Problem problem(50, DType::float64);
    const Owned before = problem.parameter;
    AdamW args = problem.args(1);
    args.weight_decay = 0.0;
    args.epsilon = 0.0;
    adamw(args);
    for (std::int64_t i = 0; i < 50; ++i) {
        const double direction = problem.gradient.get(i) > 0.0 ? -1.0 : 1.0;
        EXPECT_NEAR(problem.parameter.get(i) - before.get(i), 0.01 * direction, 1e-12);
    }
}

TEST(AdamW, DecayActsWithoutAGradient) {
    Problem problem(5, DType::float64);
    problem.gradient = zeros({5}, DType::float64);
    const Owned before = problem.parameter;
    adamw(problem.args(3));
    for (std::int64_t i = 0; i < 5; ++i) EXPECT_DOUBLE_EQ(problem.parameter.get(i), before.get(i) * (1.0 - 0.01 * 0.1));
}

TEST(AdamW, ASliceLeavesTheRestAlone) {
    Problem whole(100, DType::float32), part = whole;
    const Owned before = part.parameter;
    adamw(whole.args(1));
    AdamW args = part.args(1);
    for (Tensor* tensor : {&args.parameter, &args.gradient, &args.m, &args.v}) *tensor = tensor->slice(0, 13, 60);
    adamw(args);
    for (std::int64_t i = 0; i < 100; ++i) {
        const bool inside = i >= 13 && i < 60;
        const double expected = inside ? whole.parameter.get(i) : before.get(i);
        EXPECT_NEAR(part.parameter.get(i), expected, inside ? 1e-6 : 0.0) << i;
    }
}

TEST(AdamW, ANaNGradientStaysVisibleAndInItsPlace) {
    Problem problem(20, DType::float32);
    problem.gradient.set(7, std::numeric_limits<double>::quiet_NaN());
    adamw(problem.args(1));
    for (std::int64_t i = 0; i < 20; ++i) EXPECT_EQ(std::isnan(problem.parameter.get(i)), i == 7);
}

TEST(AdamW, BrokenContractsAreNamed) {
    Problem problem(20, DType::float32);
    EXPECT_THROW(adamw(problem.args(0)), std::logic_error);
    problem.m = zeros({19}, DType::float32);
    EXPECT_THROW(adamw(problem.args(1)), std::logic_error);
    problem.m = zeros({20}, DType::float64);
    EXPECT_THROW(adamw(problem.args(1)), std::logic_error);
}

TEST(AdamW, BitsDoNotDependOnTheNumberOfThreads) {
    Owned first;
    for (int threads : {1, 2, 3}) {
        const Threads guard(threads);
        Problem problem(1003, DType::float32);
        for (std::int64_t step = 1; step <= 3; ++step) adamw(problem.args(step));
        if (threads == 1) first = problem.parameter;
        EXPECT_TRUE(identical("parameter", problem.parameter, first));
    }
}

double sum_of_squares_of(const Owned& x) {
    double result = -1.0;
    sum_of_squares({x, &result});
    return result;
}

TEST(SumOfSquares, FollowsTheFormula) {
    for (DType dtype : {DType::float32, DType::float64}) {
        for (std::int64_t n : {0, 1, 3, 17, 16384, 16385, 100000}) {
            const Owned x = normals({n}, dtype, 1);
            EXPECT_NEAR(sum_of_squares_of(x), dot(x, x), 1e-12 * dot(x, x)) << n;
        }
    }
}

TEST(SumOfSquares, GivesOnAGpuWhatItGivesOnTheProcessor) {
    for (std::int64_t n : {0, 1, 3, 17, 16384, 16385, 100000}) {
        const double expected = sum_of_squares_of(normals({n}, DType::float32, 1));
        on_each_gpu([&] {
            const Owned x = normals({n}, DType::float32, 1);
            EXPECT_NEAR(sum_of_squares_of(x), expected, 1e-12 * expected) << n;
            EXPECT_EQ(sum_of_squares_of(x), sum_of_squares_of(x));
        });
    }
}

TEST(SumOfSquares, OnAGpuNonFiniteElementsShow) {
    on_each_gpu([] {
        for (double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
            Owned x = normals({20000}, DType::float32, 1);
            x.set(19999, bad);
            EXPECT_FALSE(std::isfinite(sum_of_squares_of(x)));
        }
    });
}

TEST(SumOfSquares, SmallTermsBesideALargeOneAreCounted) {
    Owned x = filled({100001}, DType::float32, 1e-3);
    x.set(0, 1e4);
    EXPECT_NEAR(sum_of_squares_of(x) - 1e8, 0.1, 1e-4);
}

TEST(SumOfSquares, BitsDoNotDependOnTheNumberOfThreads) {
    const Owned x = normals({70001}, DType::float32, 1);
    const double first = sum_of_squares_of(x);
    for (int threads : {1, 2, 3}) {
        const Threads guard(threads);
        EXPECT_EQ(sum_of_squares_of(x), first);
    }
}

TEST(SumOfSquares, NonFiniteElementsShow) {
    for (double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
        Owned x = normals({50000}, DType::float32, 1);
        x.set(33333, bad);
        EXPECT_FALSE(std::isfinite(sum_of_squares_of(x)));
    }
}

}  // namespace
}  // namespace locus::test
