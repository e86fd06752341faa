#include "kernels/layer_norm.h"

#include <cmath>
#include <limits>
#include <stdexcept>

#include "kernels/random.h"
#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

// Everything that one call reads and writes.
struct Problem {
    Problem(Shape shape, DType dtype, bool with_residual, float probability, std::uint32_t seed = 1)
        : x(normals(shape, dtype, seed)),
          residual(normals(shape, dtype, seed + 1)),
          gamma(normals({shape[1]}, dtype, seed + 2)),
          beta(normals({shape[1]}, dtype, seed + 3)),
          dy(normals(shape, dtype, seed + 4)),
          rows(counting(shape[0])),
          sum(shape, dtype),
          y(shape, dtype),
          mean({shape[0]}, dtype),
          rstd({shape[0]}, dtype),
          dx(shape, dtype),
          dresidual(shape, dtype),
          dgamma(zeros({shape[1]}, dtype)),
          dbeta(zeros({shape[1]}, dtype)),
          with_residual(with_residual),
          dropout{.probability = probability, .seed = 3, .site = stream_dropout + 1, .step = 5} {}

    void forward() {
        layer_norm_forward({.x = x,
                            .residual = with_residual ? residual.tensor() : Tensor(),
                            .gamma = gamma,
                            .beta = beta,
                            .epsilon = epsilon,
                            .dropout = dropout,
                            .rows = {rows, rows},
                            .sum = sum,
                            .y = y,
                            .mean = mean,
                            .rstd = rstd});
    }
    void backward(bool accumulate_dx = false, bool accumulate_dresidual = false) {
        layer_norm_backward({.dy = dy,
                             .sum = sum,
                             .gamma = gamma,
                             .mean = mean,
                             .rstd = rstd,
                             .dropout = dropout,
                             .rows = {rows, rows},
                             .dx = dx,
                             .dresidual = with_residual ? dresidual.tensor() : Tensor(),
                             .accumulate_dx = accumulate_dx,
                             .accumulate_dresidual = accumulate_dresidual,
                             .dgamma = dgamma,
                             .dbeta = dbeta});
    }

    Owned x, residual, gamma, beta, dy, rows, sum, y, mean, rstd, dx, dresidual, dgamma, dbeta;
    bool with_residual;
    Dropout dropout;
    double epsilon = 1e-5;
};

Owned straightforward(const Problem& problem) {
    Owned dropped(problem.x.shape(), DType::float64), y = dropped;
    dropout_forward({converted(problem.x, DType::float64), dropped, problem.dropout, {problem.rows, problem.rows}});
    const std::int64_t columns = problem.x.shape()[1];
    for (std::int64_t r = 0; r < problem.x.shape()[0]; ++r) {
        double mean = 0.0, variance = 0.0;
        const auto s = [&](std::int64_t c) {
            return dropped.get(r, c) + (problem.with_residual ? problem.residual.get(r, c) : 0.0);
        };
        for (std::int64_t c = 0; c < columns; ++c) mean += s(c) / static_cast<double>(columns);
        for (std::int64_t c = 0; c < columns; ++c)
            variance += (s(c) - mean) * (s(c) - mean) / static_cast<double>(columns);
        for (std::int64_t c = 0; c < columns; ++c) {
            const double xhat = (s(c) - mean) / std::sqrt(variance + problem.epsilon);
            y.set(r * columns + c, problem.gamma.get(c) * xhat + problem.beta.get(c));
        }
    }
    return y;
}

struct Case {
    Shape shape;
    bool residual;
    float probability;
};
class LayerNormOf : public ::testing::TestWithParam<Case> {};

TEST_P(LayerNormOf, ForwardFollowsTheFormula) {
    for (DType dtype : {DType::float32, DType::float64}) {
        Problem problem(GetParam().shape, dtype, GetParam().residual, GetParam().probability);
        problem.forward();
        EXPECT_TRUE(close("y", problem.y, straightforward(problem), 0.0, dtype == DType::float32 ? 2e-6 : 1e-13));
    }
}

class LayerNormOfFew : public LayerNormOf {};  // numbers: each is moved four times

TEST_P(LayerNormOfFew, BackwardMatchesCentralDifferencesInFloat64) {
    Problem problem(GetParam().shape, DType::float64, GetParam().residual, GetParam().probability);
    problem.forward();
    problem.backward();
    Problem moved = problem;
    GradientCheck check([&] {
        moved.forward();
        return dot(moved.dy, moved.y);
    });
    check.input("x", moved.x, problem.dx)
        .input("gamma", moved.gamma, problem.dgamma)
        .input("beta", moved.beta, problem.dbeta);
    if (GetParam().residual) check.input("residual", moved.residual, problem.dresidual);
    EXPECT_TRUE(check.tolerance(1e-6).step(2e-4).run());
}

TEST_P(LayerNormOf, BackwardInFloat32IsCloseToFloat64) {
    Problem single(GetParam().shape, DType::float32, GetParam().residual, GetParam().probability);
    Problem accurate(GetParam().shape, DType::float64, GetParam().residual, GetParam().probability);
    for (Problem* problem : {&single, &accurate}) {
        problem->forward();
        problem->backward();
    }
    EXPECT_TRUE(close("dx", single.dx, accurate.dx, 0.0, 1e-5));
    EXPECT_TRUE(close("dgamma", single.dgamma, accurate.dgamma, 0.0, 1e-5));
    EXPECT_TRUE(close("dbeta", single.dbeta, accurate.dbeta, 0.0, 1e-5));
    EXPECT_TRUE(close("mean", single.mean, accurate.mean, 1e-6, 1e-6));
    EXPECT_TRUE(close("rstd", single.rstd, accurate.rstd, 0.0, 1e-5));
}

TEST_P(LayerNormOf, GivesOnAGpuWhatItGivesOnTheProcessor) {
    const auto solved = [&] {
        Problem problem(GetParam().shape, DType::float32, GetParam().residual, GetParam().probability);
        problem.forward();
        problem.backward();
        problem.backward(true, true);
        return problem;
    };
    const Problem expected = solved();
    on_each_gpu([&] {
        const Problem got = solved();
        EXPECT_TRUE(close("y", got.y, expected.y, 0.0, 2e-6));
        EXPECT_TRUE(close("mean", got.mean, expected.mean, 1e-6, 1e-6));
        EXPECT_TRUE(close("rstd", got.rstd, expected.rstd, 0.0, 1e-6));
        EXPECT_TRUE(close("dx", got.dx, expected.dx, 0.0, 1e-5));
        EXPECT_TRUE(close("dgamma", got.dgamma, expected.dgamma, 0.0, 1e-5));
        EXPECT_TRUE(close("dbeta", got.dbeta, expected.dbeta, 0.0, 1e-5));
        if (!GetParam().residual) return;
        EXPECT_TRUE(close("dresidual", got.dresidual, expected.dresidual, 0.0, 1e-5));
    });
}

const auto few_numbers =
    ::testing::Values(Case{{5, 17}, false, 0.0F}, Case{{5, 17}, true, 0.0F}, Case{{5, 17}, false, 0.3F},
                      Case{{5, 17}, true, 0.3F}, Case{{40, 3}, true, 0.0F}, Case{{2, 100}, true, 0.1F},
                      Case{{3, 130}, true, 0.1F}, Case{{3, 24}, false, 0.0F}, Case{{40, 16}, true, 0.3F});
INSTANTIATE_TEST_SUITE_P(Shapes, LayerNormOfFew, few_numbers);
INSTANTIATE_TEST_SUITE_P(Shapes, LayerNormOf, few_numbers);
INSTANTIATE_TEST_SUITE_P(LargeShapes, LayerNormOf,
                         ::testing::Values(Case{{5, 2064}, true, 0.3F}, Case{{261, 40}, true, 0.1F}));

TEST(LayerNorm, AccumulatesWhereAskedAndOverwritesElsewhere) {
    for (bool x : {false, true}) {
        for (bool residual : {false, true}) {
            Problem once({6, 20}, DType::float64, true, 0.2F);
            once.forward();
            once.backward();
            Problem again = once;
            again.backward(x, residual);
            for (std::int64_t i = 0; i < once.dx.count(); ++i) {
                EXPECT_DOUBLE_EQ(again.dx.get(i), (x ? 2.0 : 1.0) * once.dx.get(i));
                EXPECT_DOUBLE_EQ(again.dresidual.get(i), (residual ? 2.0 : 1.0) * once.dresidual.get(i));
            }
            for (std::int64_t c = 0; c < 20; ++c) EXPECT_NEAR(again.dgamma.get(c), 2.0 * once.dgamma.get(c), 1e-13);
            for (std::int64_t c = 0; c < 20; ++c) EXPECT_NEAR(again.dbeta.get(c), 2.0 * once.dbeta.get(c), 1e-13);
        }
    }
}

TEST(LayerNorm, TheSumMayBeXItself) {
    for (const bool with_residual : {false, true}) {
        for (const float probability : {0.0F, 0.3F}) {
            for (const DType dtype : {DType::float32, DType::float64}) {
                Problem apart({5, 77}, dtype, with_residual, probability), inside = apart;
                apart.forward();
                layer_norm_forward({.x = inside.x,
                                    .residual = with_residual ? inside.residual.tensor() : Tensor(),
                                    .gamma = inside.gamma,
                                    .beta = inside.beta,
                                    .epsilon = inside.epsilon,
                                    .dropout = inside.dropout,
                                    .rows = {inside.rows, inside.rows},
                                    .sum = inside.x,
                                    .y = inside.y,
                                    .mean = inside.mean,
                                    .rstd = inside.rstd});
                EXPECT_TRUE(identical("y", inside.y, apart.y));
                EXPECT_TRUE(identical("x", inside.x, apart.sum));
            }
        }
    }
}

TEST(LayerNorm, BackwardDropsWhatForwardDropped) {
    Problem problem({8, 64}, DType::float32, true, 0.5F);
    problem.forward();
    problem.backward();
    int dropped = 0;
    for (std::int64_t i = 0; i < problem.x.count(); ++i) {
        const bool forward_dropped = problem.sum.get(i) == problem.residual.get(i);
        EXPECT_EQ(problem.dx.get(i) == 0.0, forward_dropped) << i;
        dropped += forward_dropped ? 1 : 0;
    }
    EXPECT_NEAR(dropped, 256, 80);
}

TEST(LayerNorm, AConstantRowGivesBetaAndALargeOffsetKeepsItsDigits) {
    Problem problem({2, 64}, DType::float32, false, 0.0F);
    problem.epsilon = 1e-12;
    for (std::int64_t c = 0; c < 64; ++c) {
        problem.x.set(c, 3.0);
        problem.x.set(64 + c, 4096.0 + static_cast<double>(c % 2));
    }
    problem.forward();
    for (std::int64_t c = 0; c < 64; ++c) {
        EXPECT_FLOAT_EQ(static_cast<float>(problem.y.get(0, c)), static_cast<float>(problem.beta.get(c)));
        EXPECT_NEAR(problem.y.get(1, c), problem.gamma.get(c) * (c % 2 == 0 ? -1.0 : 1.0) + problem.beta.get(c), 1e-5);
    }
    EXPECT_NEAR(problem.rstd.get(0), 1e6, 1.0);
}

TEST(LayerNorm, ANaNStaysInItsRowAndVisible) {
    Problem problem({3, 20}, DType::float32, true, 0.0F);
    problem.x.set(20 + 5, std::numeric_limits<double>::quiet_NaN());
    problem.forward();
    problem.backward();
    for (std::int64_t c = 0; c < 20; ++c) {
        EXPECT_TRUE(std::isfinite(problem.y.get(0, c)));
        EXPECT_TRUE(std::isnan(problem.y.get(1, c)));
        EXPECT_TRUE(std::isfinite(problem.dx.get(2, c)));
        EXPECT_TRUE(std::isnan(problem.dgamma.get(c)));
    }
}

TEST(LayerNorm, BitsDoNotDependOnTheNumberOfThreads) {
    Problem problem({333, 70}, DType::float32, true, 0.1F);
    Problem first = problem;
    for (int threads : {1, 2, 3}) {
        const Threads guard(threads);
        Problem run = problem;
        run.forward();
        run.backward();
        if (threads == 1) first = run;
        EXPECT_TRUE(identical("y", run.y, first.y));
        EXPECT_TRUE(identical("dx", run.dx, first.dx));
        EXPECT_TRUE(identical("dgamma", run.dgamma, first.dgamma));
        EXPECT_TRUE(identical("dbeta", run.dbeta, first.dbeta));
    }
}

TEST(LayerNorm, ItsDropoutIsTheOneOfDropoutForward) {
    Problem problem({9, 200}, DType::float32, false, 0.1F);
    problem.forward();
    Owned dropped = problem.x;
    dropout_forward({problem.x, dropped, problem.dropout, {problem.rows, problem.rows}});
    EXPECT_TRUE(identical("sum", problem.sum, dropped));
}

TEST(LayerNorm, BrokenContractsAreNamed) {
    Problem problem({4, 9}, DType::float32, true, 0.1F);
    problem.gamma = normals({8}, DType::float32, 1);
    try {
        problem.forward();
        FAIL() << "accepted";
    } catch (const std::logic_error& error) {
        EXPECT_STREQ(error.what(), "[layer_norm] gamma is [8], should be [9]");
    }
    Problem rows({4, 9}, DType::float32, true, 0.1F);
    rows.rows = counting(3);
    EXPECT_THROW(rows.forward(), std::logic_error);
}

TEST(LayerNorm, OfNoRowsLeavesTheParametersGradients) {
    Problem problem({0, 9}, DType::float32, true, 0.1F);
    problem.dgamma = normals({9}, DType::float32, 1);
    const Owned before = problem.dgamma;
    problem.forward();
    problem.backward();
    EXPECT_TRUE(identical("dgamma", problem.dgamma, before));
}

}  // namespace
}  // namespace locus::test
