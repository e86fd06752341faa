#include "kernels/adamw.h"

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

constexpr double nan_ = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

// Four runs, the second and the last decay; some of them are shorter than what one thread of a GPU handles.
std::vector<std::int32_t> ends_of_runs(std::int64_t n) {
    const auto end = static_cast<std::int32_t>(n);
    return {end / 3, end / 3 + (end > 3 ? 1 : 0), end / 2 + (end > 3 ? 1 : 0), end};
}

struct Problem {
    Problem(std::int64_t n, DType dtype)
        : parameter(normals({n}, dtype, 1)),
          gradient(normals({n}, dtype, 2)),
          m(zeros({n}, dtype)),
          v(zeros({n}, dtype)),
          squares(filled({1}, DType::float64, 16)),
          run_ends(int32s(ends_of_runs(n))) {}
    AdamW args(std::int64_t step) const {
        return {.parameter = parameter,
                .gradient = gradient,
                .m = m,
                .v = v,
                .squares = squares,
                .run_ends = run_ends,
                .first_run_decays = false,
                .learning_rate = 0.01,
                .beta1 = 0.9,
                .beta2 = 0.98,
                .epsilon = 1e-6,
                .weight_decay = 0.1,
                .clip = 2,
                .step = step};
    }
    Owned parameter, gradient, m, v, squares, run_ends;
};

bool decays(const std::vector<std::int32_t>& ends, std::int64_t i) {
    return (i >= ends[0] && i < ends[1]) || i >= ends[2];
}

// The formula of adamw.h, element by element in double.
void straightforward(Problem& problem, const AdamW& args) {
    const std::vector<std::int32_t> ends = ends_of_runs(problem.parameter.count());
    const double norm = std::sqrt(problem.squares.get(0));
    const double factor = args.clip > 0 && norm > args.clip ? args.clip / norm : 1;
    for (std::int64_t i = 0; i < problem.parameter.count(); ++i) {
        const double g = factor * problem.gradient.get(i), before = problem.parameter.get(i);
        const double m = args.beta1 * problem.m.get(i) + (1.0 - args.beta1) * g;
        const double v = args.beta2 * problem.v.get(i) + (1.0 - args.beta2) * g * g;
        const double t = static_cast<double>(args.step), decay = decays(ends, i) ? args.weight_decay : 0;
        const double m_hat = m / (1.0 - std::pow(args.beta1, t)), v_hat = v / (1.0 - std::pow(args.beta2, t));
        problem.m.set(i, m);
        problem.v.set(i, v);
        problem.parameter.set(
            i, before - args.learning_rate * (m_hat / (std::sqrt(v_hat) + args.epsilon) + decay * before));
    }
}

// Steps in which the gradient is clipped to half, is not since it is short, and is not since nothing clips.
void set_step(Problem& problem, AdamW& args) {
    const double squares[] = {16, 3.9, 1e6};
    problem.squares.set(0, squares[args.step % 3]);
    if (args.step % 3 == 2) args.clip = 0;
}

class AdamWOf : public ::testing::TestWithParam<std::int64_t> {};

TEST_P(AdamWOf, FollowsTheFormulaForManySteps) {
    for (DType dtype : {DType::float32, DType::float64}) {
        Problem problem(GetParam(), dtype), expected(GetParam(), DType::float64);
        expected.parameter = converted(problem.parameter, DType::float64);
        for (std::int64_t step = 1; step <= 20; ++step) {
            problem.gradient = normals({GetParam()}, dtype, static_cast<std::uint32_t>(100 + step));
            expected.gradient = converted(problem.gradient, DType::float64);
            AdamW args = problem.args(step);
            set_step(problem, args);
            set_step(expected, args);
            adamw(args);
            straightforward(expected, args);
        }
        const double relative = dtype == DType::float32 ? 2e-6 : 1e-14;
        EXPECT_TRUE(close("parameter", problem.parameter, expected.parameter, 0.0, relative));
        EXPECT_TRUE(close("m", problem.m, expected.m, 0.0, relative));
        EXPECT_TRUE(close("v", problem.v, expected.v, 0.0, relative));
    }
}

Problem solved(std::int64_t n) {
    Problem problem(n, DType::float32);
    for (std::int64_t step = 1; step <= 5; ++step) {
        problem.gradient = normals({n}, DType::float32, static_cast<std::uint32_t>(100 + step));
        AdamW args = problem.args(step);
        set_step(problem, args);
        adamw(args);
        wait_for(OnDevice::current());
    }
    return problem;
}

TEST_P(AdamWOf, GivesOnAGpuWhatItGivesOnTheProcessor) {
    const Problem expected = solved(GetParam());
    on_each_gpu([&] {
        const Problem got = solved(GetParam()), again = solved(GetParam());
        EXPECT_TRUE(close("parameter", got.parameter, expected.parameter, 0.0, 1e-6));
        EXPECT_TRUE(close("m", got.m, expected.m, 0.0, 1e-6));
        EXPECT_TRUE(close("v", got.v, expected.v, 0.0, 1e-6));
        EXPECT_TRUE(identical("parameter", again.parameter, got.parameter));
    });
}

INSTANTIATE_TEST_SUITE_P(Sizes, AdamWOf, ::testing::Values(1, 3, 4, 17, 100, 5001));

TEST(AdamW, TheFirstStepMovesByTheLearningRateAgainstTheGradient) {
    Problem problem(50, DType::float64);
    const Owned before = problem.parameter;
    AdamW args = problem.args(1);
    args.weight_decay = 0.0;
    args.epsilon = 0.0;
    args.clip = 0.0;
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
    for (std::int64_t i = 0; i < 5; ++i) {
        const double left = decays(ends_of_runs(5), i) ? 1.0 - 0.01 * 0.1 : 1.0;
        EXPECT_DOUBLE_EQ(problem.parameter.get(i), before.get(i) * left) << i;
    }
}

TEST(AdamW, WithoutRunsAllDecaysOrNothing) {
    const auto solved = [](const Problem& begin, bool decays) {
        Problem problem = begin;
        AdamW args = problem.args(2);
        args.run_ends = {};
        args.first_run_decays = decays;
        adamw(args);
        wait_for(OnDevice::current());
        return problem.parameter;
    };
    const auto check = [&] {
        Problem one(37, DType::float32), none = one;
        one.run_ends = int32s({37});
        AdamW args = none.args(2);
        args.weight_decay = 0;
        adamw(args);
        wait_for(OnDevice::current());
        EXPECT_TRUE(identical("no decay", solved(one, false), none.parameter));
        AdamW decaying = one.args(2);
        decaying.first_run_decays = true;
        const Owned all = solved(one, true);
        adamw(decaying);
        wait_for(OnDevice::current());
        EXPECT_TRUE(identical("decay", all, one.parameter));
        EXPECT_FALSE(identical("decay", all, none.parameter));
    };
    check();
    on_each_gpu(check);
}

// The slice begins where no vector of four may: each parameter is then read alone.
TEST(AdamW, ASliceLeavesTheRestAlone) {
    const auto check = [] {
        Problem whole(100, DType::float32), part = whole;
        const Owned before = part.parameter;
        AdamW all = whole.args(1), args = part.args(1);
        for (AdamW* one : {&all, &args}) one->run_ends = {};
        for (Tensor* tensor : {&args.parameter, &args.gradient, &args.m, &args.v}) *tensor = tensor->slice(0, 13, 60);
        adamw(all);
        adamw(args);
        wait_for(OnDevice::current());
        for (std::int64_t i = 0; i < 100; ++i) {
            const bool inside = i >= 13 && i < 60;
            const double expected = inside ? whole.parameter.get(i) : before.get(i);
            EXPECT_NEAR(part.parameter.get(i), expected, inside ? 1e-6 : 0.0) << i;
        }
    };
    check();
    on_each_gpu(check);
}

TEST(AdamW, ASumOfSquaresThatIsNotFiniteChangesNothing) {
    const auto check = [] {
        for (const double bad : {nan_, infinity}) {
            for (const double clip : {0.0, 2.0}) {
                Problem problem(37, DType::float32);
                problem.squares.set(0, bad);
                const Problem before = problem;
                AdamW args = problem.args(1);
                args.clip = clip;
                adamw(args);
                wait_for(OnDevice::current());
                EXPECT_TRUE(identical("parameter", problem.parameter, before.parameter));
                EXPECT_TRUE(identical("m", problem.m, before.m));
                EXPECT_TRUE(identical("v", problem.v, before.v));
            }
        }
    };
    check();
    on_each_gpu(check);
}

TEST(AdamW, ANaNGradientStaysVisibleAndInItsPlace) {
    Problem problem(20, DType::float32);
    problem.gradient.set(7, std::numeric_limits<double>::quiet_NaN());
    adamw(problem.args(1));
    for (std::int64_t i = 0; i < 20; ++i) EXPECT_EQ(std::isnan(problem.parameter.get(i)), i == 7);
}

TEST(AdamW, BrokenContractsAreNamed) {
    const Problem problem(20, DType::float32);
    const Owned short_one = zeros({19}, DType::float32), wide = zeros({20}, DType::float64);
    const Owned rounded = zeros({1}, DType::float32), falling = int32s({9, 5, 20}), early = int32s({9, 19});
    const auto expect_throw = [&](auto&& break_it) {
        AdamW args = problem.args(1);
        break_it(args);
        EXPECT_THROW(adamw(args), std::logic_error);
    };
    expect_throw([](AdamW& args) { args.step = 0; });
    expect_throw([&](AdamW& args) { args.m = short_one; });
    expect_throw([&](AdamW& args) { args.m = wide; });
    expect_throw([](AdamW& args) { args.squares = {}; });
    expect_throw([&](AdamW& args) { args.squares = rounded; });
    expect_throw([&](AdamW& args) { args.run_ends = falling; });
    expect_throw([&](AdamW& args) { args.run_ends = early; });
    expect_throw([&](AdamW& args) { args.run_ends = short_one; });
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
    const Owned result = filled({1}, DType::float64, -1.0);
    sum_of_squares({x, result});
    wait_for(OnDevice::current());
    return result.get(0);
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
        for (double bad : {nan_, infinity}) {
            Owned x = normals({20000}, DType::float32, 1);
            x.set(19999, bad);
            EXPECT_FALSE(std::isfinite(sum_of_squares_of(x)));
        }
    });
}

TEST(SumOfSquares, OneThatIsNotFiniteStaysUntilItIsZeroed) {
    const auto check = [] {
        const Owned x = filled({3}, DType::float32, 2.0);
        Owned result = zeros({1}, DType::float64);
        const auto sum = [&] {
            sum_of_squares({x, result});
            wait_for(OnDevice::current());
            return result.get(0);
        };
        for (const double bad : {nan_, infinity, -infinity}) {
            result.set(0, bad);
            EXPECT_FALSE(std::isfinite(sum())) << bad;
            fill_zeros(result);
            EXPECT_EQ(sum(), 12);
        }
    };
    check();
    on_each_gpu(check);
}

TEST(SumOfSquares, BrokenContractsAreNamed) {
    const Owned x = zeros({3}, DType::float32), two = zeros({2}, DType::float64), rounded = zeros({1}, DType::float32);
    EXPECT_THROW(sum_of_squares({x, {}}), std::logic_error);
    EXPECT_THROW(sum_of_squares({x, two}), std::logic_error);
    EXPECT_THROW(sum_of_squares({x, rounded}), std::logic_error);
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
    for (double bad : {nan_, infinity}) {
        Owned x = normals({50000}, DType::float32, 1);
        x.set(33333, bad);
        EXPECT_FALSE(std::isfinite(sum_of_squares_of(x)));
    }
}

}  // namespace
}  // namespace locus::test
