#include "kernels/cross_entropy.h"

#include <cmath>
#include <functional>
#include <limits>
#include <stdexcept>

#include "kernels/copy_columns.h"
#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

struct Problem {
    Problem(std::int64_t rows, std::int64_t columns, DType dtype)
        : logits(normals({rows, columns}, dtype, 1, 3.0)),
          bias(normals({columns}, dtype, 2)),
          targets({rows}, DType::int32),
          loss({rows}, DType::float64),
          correct({rows}, DType::int32),
          dbias(zeros({columns}, dtype)) {
        for (std::int64_t r = 0; r < rows; ++r) targets.set(r, static_cast<double>((r * 31 + columns - 1) % columns));
    }
    void run(bool gradient, bool with_bias = true, const Tensor& dlogits = {}) {
        cross_entropy({.logits = logits,
                       .bias = with_bias ? bias.tensor() : Tensor(),
                       .targets = targets,
                       .loss = loss,
                       .correct = correct,
                       .gradient = gradient,
                       .dlogits = dlogits,
                       .scale = scale,
                       .dbias = gradient ? dbias.tensor() : Tensor()});
    }
    double z(std::int64_t row, std::int64_t v, bool with_bias = true) const {
        return logits.get(row, v) + (with_bias ? bias.get(v) : 0.0);
    }

    Owned logits, bias, targets, loss, correct, dbias;
    double scale = 0.37;
};

struct Case {
    std::int64_t rows, columns;
};
class CrossEntropyOf : public ::testing::TestWithParam<Case> {};

TEST_P(CrossEntropyOf, LossAndGradientFollowTheFormula) {
    const auto [rows, columns] = GetParam();
    for (DType dtype : {DType::float32, DType::float64}) {
        for (bool with_bias : {false, true}) {
            Problem problem(rows, columns, dtype);
            Owned loss({rows}, DType::float64), dx({rows, columns}, DType::float64),
                dbias = zeros({columns}, DType::float64);
            for (std::int64_t r = 0; r < rows; ++r) {
                double sum = 0.0;
                const auto target = static_cast<std::int64_t>(problem.targets.get(r));
                for (std::int64_t v = 0; v < columns; ++v) sum += std::exp(problem.z(r, v, with_bias));
                loss.set(r, std::log(sum) - problem.z(r, target, with_bias));
                for (std::int64_t v = 0; v < columns; ++v) {
                    const double p = std::exp(problem.z(r, v, with_bias)) / sum;
                    dx.set(r * columns + v, problem.scale * (p - (v == target ? 1.0 : 0.0)));
                    dbias.set(v, dbias.get(v) + dx.get(r, v));
                }
            }
            const double relative = dtype == DType::float32 ? 2e-6 : 1e-13;
            const Owned before = problem.logits;
            problem.run(false, with_bias);
            EXPECT_TRUE(close("loss", problem.loss, loss, relative, relative));
            EXPECT_TRUE(identical("logits without gradient", problem.logits, before));
            problem.run(true, with_bias);
            EXPECT_TRUE(close("loss", problem.loss, loss, relative, relative));
            EXPECT_TRUE(close("dx", problem.logits, dx, relative, relative));
            EXPECT_TRUE(close("dbias", problem.dbias, dbias, relative, relative));
        }
    }
}

TEST_P(CrossEntropyOf, GivesOnAGpuWhatItGivesOnTheProcessor) {
    for (const bool with_bias : {false, true}) {
        const auto problem_of = [&] {
            Problem problem(GetParam().rows, GetParam().columns, DType::float32);
            problem.dbias = normals({GetParam().columns}, DType::float32, 3);
            return problem;
        };
        Problem expected = problem_of();
        expected.run(true, with_bias);
        on_each_gpu([&] {
            Problem got = problem_of();
            const Owned before = got.logits, dbias_before = got.dbias;
            got.run(false, with_bias);
            wait_for(OnDevice::current());
            EXPECT_TRUE(close("loss", got.loss, expected.loss, 1e-6, 1e-6));
            EXPECT_TRUE(identical("correct", got.correct, expected.correct));
            EXPECT_TRUE(identical("logits without gradient", got.logits, before));
            EXPECT_TRUE(identical("dbias without gradient", got.dbias, dbias_before));
            got.run(true, with_bias);
            wait_for(OnDevice::current());
            EXPECT_TRUE(close("loss", got.loss, expected.loss, 1e-6, 1e-6));
            EXPECT_TRUE(identical("correct", got.correct, expected.correct));
            EXPECT_TRUE(close("dx", got.logits, expected.logits, 0.0, 2e-6));
            EXPECT_TRUE(close("dbias", got.dbias, expected.dbias, 0.0, 2e-6));
        });
    }
}

// Beside the logits, which stay; its rows apart.
TEST_P(CrossEntropyOf, PutsTheGradientElsewhereOnAGpu) {
    const auto [rows, columns] = GetParam();
    Problem expected(rows, columns, DType::float32);
    expected.run(true);
    for (const DType dtype : {DType::float32, DType::bfloat16}) {
        on_each_gpu([&, rows = rows, columns = columns] {
            Problem got(rows, columns, DType::float32);
            const Owned logits = got.logits, wide = normals({rows, columns + 3}, dtype, 5), before = wide;
            const Tensor dx = wide.tensor().slice(1, 2, columns + 2);
            got.run(true, true, dx);
            const double tolerance = dtype == DType::float32 ? 2e-6 : 4e-3;
            EXPECT_TRUE(close("dx", dx, expected.logits, 0.0, tolerance));
            EXPECT_TRUE(close("dbias", got.dbias, expected.dbias, 0.0, tolerance));
            EXPECT_TRUE(identical("logits", got.logits, logits));
            for (const std::int64_t beside : {std::int64_t{0}, std::int64_t{1}, columns + 2})
                EXPECT_EQ(wide.get(rows - 1, beside), before.get(rows - 1, beside));
        });
    }
}

// Rows that begin at multiples of eight numbers, and columns that are left over: in place, and beside the logits.
TEST_P(CrossEntropyOf, RowsOfLogitsMayLieApart) {
    const auto [rows, columns] = GetParam();
    Problem expected(rows, columns, DType::float32);
    expected.run(true);
    const auto check = [&, rows = rows, columns = columns] {
        for (const bool in_place : {true, false}) {
            if (!in_place && OnDevice::current() == Device::cpu) continue;
            Problem got(rows, columns, DType::float32);
            const std::int64_t stride = (columns + 7) / 8 * 8 + 8;
            const Owned wide = normals({rows, stride}, DType::float32, 6),
                        other = normals({rows, stride}, DType::float32, 7);
            Owned before = wide;
            const Tensor logits = wide.tensor().slice(1, 0, columns), beside = other.tensor().slice(1, 0, columns);
            copy_columns({.x = got.logits, .y = logits});
            copy_columns({.x = got.logits, .y = before.tensor().slice(1, 0, columns)});
            cross_entropy({.logits = logits,
                           .bias = got.bias,
                           .targets = got.targets,
                           .loss = got.loss,
                           .correct = got.correct,
                           .gradient = true,
                           .dlogits = in_place ? Tensor() : beside,
                           .scale = got.scale,
                           .dbias = got.dbias});
            wait_for(OnDevice::current());
            EXPECT_TRUE(close("loss", got.loss, expected.loss, 1e-6, 1e-6));
            EXPECT_TRUE(identical("correct", got.correct, expected.correct));
            EXPECT_TRUE(close("dx", in_place ? logits : beside, expected.logits, 0.0, 2e-6));
            EXPECT_TRUE(close("dbias", got.dbias, expected.dbias, 0.0, 2e-6));
            for (std::int64_t r = 0; r < rows; ++r)
                for (std::int64_t v = columns; v < stride; ++v) EXPECT_EQ(wide.get(r, v), before.get(r, v));
            EXPECT_TRUE(in_place || identical("logits", wide, before));
        }
    };
    check();
    on_each_gpu(check);
}

// More columns than wait in a GPU's shared memory, in eights and one by one.
TEST(CrossEntropy, OnAGpuAVocabularyMayBeLargerThanSharedMemory) {
    for (const std::int64_t columns : {35000, 35001}) {
        const auto given = [&] {
            Problem problem(2, columns, DType::float32);
            problem.logits.set(columns + columns - 2,
                               20.0);  // the largest of the second row is not among those that wait
            problem.targets = int32s({static_cast<std::int32_t>(columns - 1), static_cast<std::int32_t>(columns - 2)});
            return problem;
        };
        Problem expected(2, columns, DType::float64);  // so many float32 cannot be added up one by one
        const Problem same = given();
        expected.targets = same.targets;
        for (std::int64_t n = 0; n < 2 * columns; ++n) expected.logits.set(n, same.logits.get(n));
        for (std::int64_t n = 0; n < columns; ++n) expected.bias.set(n, same.bias.get(n));
        expected.run(true);
        EXPECT_EQ(expected.correct.get(1), 1.0);
        on_each_gpu([&] {
            Problem got = given();
            got.run(true);
            wait_for(OnDevice::current());
            EXPECT_TRUE(close("loss", got.loss, expected.loss, 1e-6, 1e-6));
            EXPECT_TRUE(identical("correct", got.correct, expected.correct));
            EXPECT_TRUE(close("dx", got.logits, expected.logits, 0.0, 2e-6));
            EXPECT_TRUE(close("dbias", got.dbias, expected.dbias, 0.0, 2e-6));
        });
    }
}

INSTANTIATE_TEST_SUITE_P(Shapes, CrossEntropyOf,
                         ::testing::Values(Case{1, 1}, Case{3, 17}, Case{70, 3}, Case{5, 100}, Case{40, 1001},
                                           Case{6, 64}, Case{3, 6150}));

TEST(CrossEntropy, OnTheProcessorTheGradientTakesThePlaceOfTheLogits) {
    Problem problem(4, 9, DType::float32);
    const Owned elsewhere({4, 9}, DType::float32);
    EXPECT_NO_THROW(problem.run(true, true, problem.logits));
    EXPECT_THROW(problem.run(true, true, elsewhere), std::logic_error);
}

TEST(CrossEntropy, GradientMatchesCentralDifferencesInFloat64) {
    Problem problem(4, 9, DType::float64);
    Problem moved = problem;
    problem.run(true);
    GradientCheck check([&] {
        moved.run(false);
        double sum = 0.0;
        for (std::int64_t r = 0; r < 4; ++r) sum += moved.scale * moved.loss.get(r);
        return sum;
    });
    EXPECT_TRUE(check.input("logits", moved.logits, problem.logits).input("bias", moved.bias, problem.dbias).run());
}

// What has to hold on the processor and on every GPU alike.
void everywhere(const std::function<void()>& work) {
    work();
    on_each_gpu(work);
}

TEST(CrossEntropy, TheFirstOfEqualLogitsIsTheAnswer) {
    everywhere([] {
        Problem problem(3, 5, DType::float32);
        const double values[5] = {0.0, 2.0, 1.0, 2.0, 2.0};
        problem.bias = zeros({5}, DType::float32);
        for (std::int64_t i = 0; i < 15; ++i) problem.logits.set(i, values[i % 5]);
        problem.targets = int32s({1, 3, 2});
        problem.run(false);
        wait_for(OnDevice::current());
        EXPECT_EQ(problem.correct.get(0), 1.0);
        EXPECT_EQ(problem.correct.get(1), 0.0);
        EXPECT_EQ(problem.correct.get(2), 0.0);
    });
}

TEST(CrossEntropy, OfManyEqualLogitsOnlyTheFirstIsTheAnswer) {
    everywhere([] {
        Problem problem(4, 1100, DType::float32);
        problem.logits = filled({4, 1100}, DType::float32, 1.5);
        for (std::int64_t r = 0; r < 4; ++r) problem.logits.set(r * 1100, -1.0);
        problem.targets = int32s({0, 1, 2, 1099});
        problem.run(true, false);
        wait_for(OnDevice::current());
        for (std::int64_t r = 0; r < 4; ++r) EXPECT_EQ(problem.correct.get(r), r == 1 ? 1.0 : 0.0) << r;
    });
}

TEST(CrossEntropy, CorrectCountsTheBias) {
    everywhere([] {
        Problem problem(1, 4, DType::float32);
        problem.logits = zeros({1, 4}, DType::float32);
        problem.bias = zeros({4}, DType::float32);
        problem.bias.set(2, 1.0);
        problem.targets = int32s({2});
        problem.run(false);
        wait_for(OnDevice::current());
        EXPECT_EQ(problem.correct.get(0), 1.0);
        problem.run(false, false);
        wait_for(OnDevice::current());
        EXPECT_EQ(problem.correct.get(0), 0.0);
    });
}

TEST(CrossEntropy, EveryNonFiniteLogitGivesANonFiniteLossOfItsRowAlone) {
    for (DType dtype : {DType::float32, DType::float64}) {
        for (double bad : {std::numeric_limits<double>::quiet_NaN(), infinity, -infinity}) {
            for (std::int64_t column : {0, 8, 16, 39}) {
                Problem problem(3, 40, dtype);
                problem.targets = int32s({8, 8, 8});
                problem.logits.set(40 + column, bad);
                problem.run(true);
                EXPECT_TRUE(std::isfinite(problem.loss.get(0)));
                EXPECT_FALSE(std::isfinite(problem.loss.get(1))) << bad << " at " << column;
                EXPECT_EQ(problem.correct.get(1), 0.0);
                EXPECT_TRUE(std::isfinite(problem.loss.get(2)));
            }
        }
    }
}

TEST(CrossEntropy, OnAGpuEveryNonFiniteLogitGivesANonFiniteLossOfItsRowAlone) {
    on_each_gpu([] {
        for (double bad : {std::numeric_limits<double>::quiet_NaN(), infinity, -infinity}) {
            for (std::int64_t column : {0, 8, 599}) {
                Problem problem(3, 600, DType::float32);
                problem.targets = int32s({8, 8, 8});
                problem.logits.set(600 + column, bad);
                problem.run(true);
                wait_for(OnDevice::current());
                EXPECT_TRUE(std::isfinite(problem.loss.get(0)));
                EXPECT_TRUE(std::isnan(problem.loss.get(1))) << bad << " at " << column;
                EXPECT_EQ(problem.correct.get(1), 0.0);
                EXPECT_TRUE(std::isfinite(problem.loss.get(2)));
            }
        }
    });
}

TEST(CrossEntropy, LargeLogitsNeitherOverflowNorVanish) {
    everywhere([] {
        Problem problem(2, 3, DType::float32);
        const double values[6] = {1e30, 0.0, -1e30, -5000.0, -5000.0, -5000.0};
        for (std::int64_t i = 0; i < 6; ++i) problem.logits.set(i, values[i]);
        problem.targets = int32s({1, 0});
        problem.run(false, false);
        wait_for(OnDevice::current());
        EXPECT_NEAR(problem.loss.get(0) / 1e30, 1.0, 1e-6);
        EXPECT_NEAR(problem.loss.get(1), std::log(3.0), 1e-6);
    });
}

TEST(CrossEntropy, GradientRowsAddUpToZeroAndDbiasIsAddedTo) {
    Problem problem(50, 33, DType::float64);
    problem.dbias = filled({33}, DType::float64, 7.0);
    problem.run(true);
    double total = 0.0;
    for (std::int64_t i = 0; i < problem.logits.count(); ++i) total += problem.logits.get(i);
    EXPECT_NEAR(total, 0.0, 1e-12);
    double bias_total = 0.0;
    for (std::int64_t v = 0; v < 33; ++v) bias_total += problem.dbias.get(v);
    EXPECT_NEAR(bias_total, 7.0 * 33.0, 1e-12);
}

TEST(CrossEntropy, ATargetOutsideTheVocabularyIsNamedAndNothingIsWritten) {
    for (std::int32_t bad : {-1, -100, 9}) {
        Problem problem(2, 9, DType::float32);
        problem.targets = int32s({1, bad});
        const Owned before = problem.logits;
        EXPECT_THROW(problem.run(true), std::out_of_range) << bad;
        EXPECT_TRUE(identical("logits", problem.logits, before));
    }
}

TEST(CrossEntropy, OnAGpuATargetOutsideTheVocabularyIsReportedAndItsRowSkipped) {
    on_each_gpu([] {
        for (std::int32_t bad : {-1, -100, 9, 2000000000}) {
            Problem problem(2, 9, DType::float32), good(2, 9, DType::float32);
            problem.targets = int32s({1, bad});
            good.targets = int32s({1, 8});
            const Owned before = problem.logits;
            good.run(true);
            problem.run(true);
            EXPECT_THROW(wait_for(OnDevice::current()), std::out_of_range) << bad;
            for (std::int64_t v = 0; v < 9; ++v) EXPECT_EQ(problem.logits.get(0, v), good.logits.get(0, v));
            for (std::int64_t v = 0; v < 9; ++v) EXPECT_EQ(problem.logits.get(1, v), before.get(1, v));
        }
    });
}

// A loss alone would not stop the optimizer on a GPU, which looks at the gradients' norm.
TEST(CrossEntropy, ALogitThatIsNotFiniteMakesLossAndGradientOfItsRowNaN) {
    const auto expect_nan = [](double bad) {
        Problem problem(2, 9, DType::float32);
        problem.logits.set(9 + 3, bad);
        problem.run(true);
        wait_for(OnDevice::current());
        for (std::int64_t v = 0; v < 9; ++v) {
            EXPECT_TRUE(std::isfinite(problem.logits.get(0, v))) << bad;
            EXPECT_TRUE(std::isnan(problem.logits.get(1, v))) << bad;
        }
    };
    for (const double bad : {-infinity, infinity, std::numeric_limits<double>::quiet_NaN()}) {
        expect_nan(bad);
        on_each_gpu([&] { expect_nan(bad); });
    }
}

TEST(CrossEntropy, BitsDoNotDependOnTheNumberOfThreads) {
    const Problem problem(201, 130, DType::float32);
    Problem first = problem;
    for (int threads : {1, 2, 3}) {
        const Threads guard(threads);
        Problem run = problem;
        run.run(true);
        if (threads == 1) first = run;
        EXPECT_TRUE(identical("dx", run.logits, first.logits));
        EXPECT_TRUE(identical("dbias", run.dbias, first.dbias));
        EXPECT_TRUE(identical("loss", run.loss, first.loss));
    }
}

TEST(CrossEntropy, OfNoRowsDoesNothing) {
    everywhere([] {
        Problem problem(0, 9, DType::float32);
        EXPECT_NO_THROW(problem.run(true));
        wait_for(OnDevice::current());
        for (std::int64_t v = 0; v < 9; ++v) EXPECT_EQ(problem.dbias.get(v), 0.0);
    });
}

TEST(CrossEntropy, BrokenContractsAreNamed) {
    Problem problem(2, 9, DType::float32);
    problem.bias = normals({8}, DType::float32, 1);
    EXPECT_THROW(problem.run(false), std::logic_error);
    Problem other(2, 9, DType::float32);
    other.loss = Owned({2}, DType::float32);
    EXPECT_THROW(other.run(false), std::logic_error);
}

}  // namespace
}  // namespace locus::test
