#include "kernels/matmul.h"

#include <bit>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include "kernels/random.h"
#include "kernels/round_to_bfloat16.h"
#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

struct Case {
    std::int64_t m, n, k;
};

// One product, its operands each a column range of a wider matrix when `strided`.
struct Problem {
    Problem(Case size, DType dtype, bool transpose_a, bool transpose_b, bool strided)
        : a_wide(normals(widened(transpose_a ? Shape{size.k, size.m} : Shape{size.m, size.k}, strided), dtype, 1)),
          b_wide(normals(widened(transpose_b ? Shape{size.n, size.k} : Shape{size.k, size.n}, strided), dtype, 2)),
          c_wide(normals(widened({size.m, size.n}, strided), dtype, 3)),
          bias(normals({size.n}, dtype, 4)),
          size(size),
          transpose_a(transpose_a),
          transpose_b(transpose_b),
          strided(strided) {}

    static Shape widened(Shape shape, bool strided) { return strided ? Shape{shape[0], shape[1] + 5} : shape; }
    Tensor part(const Owned& wide) const {
        return strided ? wide.tensor().slice(1, 2, wide.shape()[1] - 3) : wide.tensor();
    }
    void multiply(bool accumulate, bool with_bias, Rounding rounding = Rounding::none, const Tensor& sums = {}) {
        matmul({.a = part(a_wide),
                .b = part(b_wide),
                .c = part(c_wide),
                .transpose_a = transpose_a,
                .transpose_b = transpose_b,
                .bias = with_bias ? bias.tensor() : Tensor(),
                .accumulate = accumulate,
                .rounding = rounding,
                .a_column_sum = sums});
    }
    Owned straightforward(bool accumulate, bool with_bias) const {
        Owned result({size.m, size.n}, DType::float64);
        const Tensor a = part(a_wide), b = part(b_wide), c = part(c_wide);
        for (std::int64_t i = 0; i < size.m; ++i) {
            for (std::int64_t j = 0; j < size.n; ++j) {
                double sum = (accumulate ? element(c, i * size.n + j) : 0.0) + (with_bias ? bias.get(j) : 0.0);
                for (std::int64_t k = 0; k < size.k; ++k) {
                    sum += element(a, transpose_a ? k * size.m + i : i * size.k + k) *
                           element(b, transpose_b ? j * size.k + k : k * size.n + j);
                }
                result.set(i * size.n + j, sum);
            }
        }
        return result;
    }

    Owned a_wide, b_wide, c_wide, bias;
    Case size;
    bool transpose_a, transpose_b, strided;
};

class MatmulOf : public ::testing::TestWithParam<Case> {};

TEST_P(MatmulOf, FollowsTheFormulaForAllTranspositionsStridesAndAdditions) {
    for (int bits = 0; bits < 64; ++bits) {
        const DType dtype = (bits & 32) != 0 ? DType::float32 : DType::float64;
        const bool accumulate = (bits & 1) != 0, with_bias = (bits & 2) != 0, strided = (bits & 16) != 0;
        Problem problem(GetParam(), dtype, (bits & 4) != 0, (bits & 8) != 0, strided);
        const Owned expected = problem.straightforward(accumulate, with_bias);
        const Owned before = problem.c_wide;
        problem.multiply(accumulate, with_bias);
        EXPECT_TRUE(close("c", problem.part(problem.c_wide), expected, 0.0, dtype == DType::float32 ? 3e-6 : 1e-13))
            << bits;
        for (std::int64_t row = 0; strided && row < GetParam().m; ++row) {  // what lies beside c stays
            for (std::int64_t column : {std::int64_t{0}, std::int64_t{1}, GetParam().n + 2, GetParam().n + 4}) {
                ASSERT_EQ(problem.c_wide.get(row, column), before.get(row, column)) << bits;
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Sizes, MatmulOf,
                         ::testing::Values(Case{1, 1, 1}, Case{3, 17, 5}, Case{17, 3, 100}, Case{1, 64, 33},
                                           Case{64, 1, 33}, Case{20, 32, 1}, Case{100, 33, 65}, Case{33, 5, 600}));

TEST(Matmul, OverwritesWhateverIsInC) {
    for (DType dtype : {DType::float32, DType::float64}) {
        const Owned a = normals({5, 7}, dtype, 1), b = normals({7, 6}, dtype, 2);
        Owned clean = zeros({5, 6}, dtype), dirty = filled({5, 6}, dtype, std::numeric_limits<double>::quiet_NaN());
        matmul({a, b, clean});
        matmul({a, b, dirty});
        EXPECT_TRUE(identical("c", dirty, clean));
    }
}

TEST(Matmul, OfEmptyExtents) {
    for (DType dtype : {DType::float32, DType::float64}) {
        const Owned bias = normals({4}, dtype, 1), no_k_a({3, 0}, dtype), no_k_b({0, 4}, dtype);
        Owned c = normals({3, 4}, dtype, 2);
        const Owned before = c;
        matmul({.a = no_k_a, .b = no_k_b, .c = c, .accumulate = true});
        EXPECT_TRUE(identical("kept", c, before));
        matmul({.a = no_k_a, .b = no_k_b, .c = c, .bias = bias});
        for (std::int64_t i = 0; i < 12; ++i) EXPECT_EQ(c.get(i), bias.get(i % 4));
        matmul({.a = no_k_a, .b = no_k_b, .c = c});
        for (std::int64_t i = 0; i < 12; ++i) EXPECT_EQ(c.get(i), 0.0);
        const Owned b = normals({5, 4}, dtype, 1), none({0, 5}, dtype), nothing({0, 4}, dtype);
        EXPECT_NO_THROW(matmul({none, b, nothing}));
        const Owned a = normals({3, 5}, dtype, 1), no_columns({5, 0}, dtype), no_result({3, 0}, dtype);
        EXPECT_NO_THROW(matmul({a, no_columns, no_result}));
    }
}

TEST(Matmul, NaNAndInfinityArePassedOn) {
    for (DType dtype : {DType::float32, DType::float64}) {
        Owned a = normals({4, 5}, dtype, 1);
        a.set(2 * 5 + 1, std::numeric_limits<double>::quiet_NaN());
        const Owned b = normals({5, 3}, dtype, 2);
        Owned c({4, 3}, dtype);
        matmul({a, b, c});
        for (std::int64_t j = 0; j < 3; ++j) {
            EXPECT_TRUE(std::isfinite(c.get(1, j)));
            EXPECT_TRUE(std::isnan(c.get(2, j)));
        }
    }
}

TEST(Matmul, RepeatsItsBitsAndServesChangedThreadCounts) {
    const Owned a = normals({130, 70}, DType::float32, 1), b = normals({50, 70}, DType::float32, 2);
    for (int threads : {1, 2, 3, 2, 1}) {
        const Threads guard(threads);
        Owned first({130, 50}, DType::float32), second = first, accurate({130, 50}, DType::float64);
        matmul({.a = a, .b = b, .c = first, .transpose_b = true});
        matmul({.a = a, .b = b, .c = second, .transpose_b = true});
        matmul(
            {.a = converted(a, DType::float64), .b = converted(b, DType::float64), .c = accurate, .transpose_b = true});
        EXPECT_TRUE(identical("again", second, first));
        EXPECT_TRUE(close("c", first, accurate, 0.0, 1e-6));
    }
}

TEST(Matmul, Float64BitsDoNotDependOnTheNumberOfThreads) {
    const Owned a = normals({67, 40}, DType::float64, 1), b = normals({40, 50}, DType::float64, 2);
    Owned first;
    for (int threads : {1, 2, 3}) {
        const Threads guard(threads);
        Owned c({67, 50}, DType::float64);
        matmul({a, b, c});
        if (threads == 1) first = c;
        EXPECT_TRUE(identical("c", c, first));
    }
}

// Ragged batches bring a new number of rows with each step.
TEST(Matmul, ServesMoreShapesThanItKeeps) {
    const Owned b = filled({4, 3}, DType::float32, 1.0);
    for (std::int64_t m = 1; m <= 1100; ++m) {
        const Owned a = filled({m, 4}, DType::float32, 0.5);
        Owned c({m, 3}, DType::float32);
        matmul({a, b, c});
        ASSERT_EQ(c.get(0), 2.0) << m;
        ASSERT_EQ(c.get(c.count() - 1), 2.0) << m;
    }
}

TEST(Matmul, TheShapesOfTheMaskedHead) {
    const Case head = {37, 1100, 64};  // logits, their gradient towards x, and towards the weight
    Problem forward(head, DType::float32, false, true, false);
    const Owned logits = forward.straightforward(false, true);
    forward.multiply(false, true);
    EXPECT_TRUE(close("logits", forward.c_wide, logits, 0.0, 3e-6));
    Problem dx({head.m, head.k, head.n}, DType::float32, false, false, false);
    const Owned expected_dx = dx.straightforward(false, false);
    dx.multiply(false, false);
    EXPECT_TRUE(close("dx", dx.c_wide, expected_dx, 0.0, 3e-6));
    Problem dw({head.n, head.k, head.m}, DType::float32, true, false, false);
    const Owned expected_dw = dw.straightforward(true, false);
    dw.multiply(true, false);
    EXPECT_TRUE(close("dW", dw.c_wide, expected_dw, 0.0, 3e-6));
}

// Numbers with all 24 bits in use, and the halfway cases of rounding to 8 and to 16 of them: where float32 is made of three bfloat16 parts, a part that is
// rounded in two ways is wrong in the 16th bit.
Owned awkward_numbers(Shape shape, std::uint32_t seed) {
    Owned result(shape, DType::float32);
    for (std::int64_t i = 0; i < result.count(); ++i) {
        const Philox4 bits = philox({seed, 5}, {static_cast<std::uint32_t>(i), 0, 0, 0});
        std::uint32_t mantissa = bits[0] & 0x7FFFFFU;
        if (i % 4 == 1) mantissa = (mantissa & 0x7F0000U) | 0x8000U;
        if (i % 4 == 2) mantissa = (mantissa & 0x7FFF00U) | 0x0080U;
        if (i % 4 == 3) mantissa = (mantissa & 0x7F0000U) | 0x8080U;
        const std::uint32_t exponent = 127 - 30 + bits[1] % 60, sign = bits[2] & 0x80000000U;
        result.tensor().as<float>()[i] = std::bit_cast<float>(sign | exponent << 23U | mantissa);
    }
    return result;
}

TEST(Matmul, AFloat32ProductHasAllItsBits) {
    const Owned a = awkward_numbers({70, 1}, 1), b = awkward_numbers({1, 90}, 2);
    Owned c({70, 90}, DType::float32);
    matmul({a, b, c});
    for (std::int64_t i = 0; i < 70; ++i) {
        for (std::int64_t j = 0; j < 90; ++j) {
            const double exact = a.get(i) * b.get(j);
            ASSERT_LE(std::abs(c.get(i, j) - exact), std::ldexp(std::abs(exact), -22)) << a.get(i) << " * " << b.get(j);
        }
    }
}

// Against the plain loop in float32, on sums as long as a gradient's.
TEST(Matmul, Float32SumsAreAsAccurateAsAPlainLoop) {
    const std::int64_t m = 16, n = 16, k = 4096;
    Problem problem({m, n, k}, DType::float32, true, false, false);
    const Owned exact = problem.straightforward(false, false);
    double plain_error = 0.0, error = 0.0;
    problem.multiply(false, false);
    for (std::int64_t i = 0; i < m; ++i) {
        for (std::int64_t j = 0; j < n; ++j) {
            float sum = 0.0F;
            for (std::int64_t l = 0; l < k; ++l)
                sum += problem.a_wide.tensor().as<float>()[l * m + i] * problem.b_wide.tensor().as<float>()[l * n + j];
            plain_error += std::pow(sum - exact.get(i, j), 2);
            error += std::pow(problem.c_wide.get(i, j) - exact.get(i, j), 2);
        }
    }
    EXPECT_LE(std::sqrt(error), 2.0 * std::sqrt(plain_error));
    ::testing::Test::RecordProperty("error_over_plain_loop", std::to_string(std::sqrt(error / plain_error)));
}

Owned rounded(const Tensor& x) {
    Owned result(x.shape, DType::float32);
    round_to_bfloat16({x, result});
    return result;
}

// Products of two bfloat16 numbers are exact in float32, so only the order of the sums is left.
TEST_P(MatmulOf, Bfloat16OperandsAreMultipliedExactlyAndSummedInFloat32) {
    for (int bits = 0; bits < 32; ++bits) {
        const bool accumulate = (bits & 1) != 0, with_bias = (bits & 2) != 0, strided = (bits & 16) != 0;
        Problem problem(GetParam(), DType::float32, (bits & 4) != 0, (bits & 8) != 0, strided);
        Problem exact = problem;
        exact.a_wide = rounded(exact.a_wide);
        exact.b_wide = rounded(exact.b_wide);
        const Owned expected = exact.straightforward(accumulate, with_bias);
        problem.multiply(accumulate, with_bias, Rounding::bfloat16);
        EXPECT_TRUE(close("c", problem.part(problem.c_wide), expected, 0.0, 3e-6)) << bits;
    }
}

// Every kind of a, b and c, in every form. What is bfloat16 already is not rounded again; c is rounded once, at the end.
TEST(Matmul, TakesAndGivesBfloat16OnAGpu) {
    const auto dtype_of = [](int is_bfloat16) { return is_bfloat16 != 0 ? DType::bfloat16 : DType::float32; };
    for (int bits = 0; bits < 256; ++bits) {
        const bool accumulate = (bits & 1) != 0, with_bias = (bits & 2) != 0, strided = (bits & 16) != 0;
        const DType of_a = dtype_of(bits & 32), of_b = dtype_of(bits & 64), of_c = dtype_of(bits & 128);
        const auto problem = [&] {
            return Problem({9, 14, 11}, DType::float32, (bits & 4) != 0, (bits & 8) != 0, strided);
        };
        Problem exact = problem();
        exact.a_wide = rounded(exact.a_wide);
        exact.b_wide = rounded(exact.b_wide);
        exact.c_wide = converted(exact.c_wide, of_c);
        const Owned expected = exact.straightforward(accumulate, with_bias);
        on_each_gpu([&] {
            Problem there = problem();
            there.a_wide = converted(there.a_wide, of_a);
            there.b_wide = converted(there.b_wide, of_b);
            there.c_wide = converted(there.c_wide, of_c);
            there.multiply(accumulate, with_bias, Rounding::bfloat16);
            const double tolerance = of_c == DType::bfloat16 ? 4e-3 : 3e-6;
            EXPECT_TRUE(close("c", there.part(there.c_wide), expected, 0.0, tolerance)) << bits;
        });
    }
}

// Sizes of a model: the library takes other algorithms for them than for a few numbers, some that cut K into pieces.
TEST(Matmul, GivesOnAGpuWhatItGivesOnTheProcessorForSizesOfAModel) {
    constexpr std::int64_t tokens = 1000, hidden = 192, wide = 776;
    struct Form {
        Case size;
        bool transpose_a, transpose_b, accumulate, with_bias;
    };
    const Form forward = {{tokens, wide, hidden}, false, true, false, true},
               dx = {{tokens, hidden, wide}, false, false, false, false},
               dw = {{wide, hidden, tokens}, true, false, true, false};
    for (const Form& form : {forward, dx, dw}) {
        for (const Rounding rounding : {Rounding::none, Rounding::bfloat16}) {
            const auto product = [&] {
                Problem problem(form.size, DType::float32, form.transpose_a, form.transpose_b, false);
                problem.multiply(form.accumulate, form.with_bias, rounding);
                return problem.c_wide;
            };
            const Owned expected = product();
            on_each_gpu([&] { EXPECT_TRUE(close("c", product(), expected, 0.0, 3e-6)) << form.size.k; });
        }
    }
}

// The gradients of a weight and of its bias.
TEST_P(MatmulOf, SumsTheColumnsOfABesideTheProduct) {
    const auto expect = [&](DType dtype, DType of_a, Rounding rounding, double tolerance) {
        for (const bool strided : {false, true}) {
            Problem problem(GetParam(), dtype, true, false, strided);
            problem.a_wide = converted(problem.a_wide, of_a);
            const Owned before = normals({GetParam().m}, dtype, 5), sums = before;
            Owned expected = converted(before, DType::float64);
            for (std::int64_t i = 0; i < GetParam().m * GetParam().k; ++i) {
                const std::int64_t column = i % GetParam().m;
                expected.set(column, expected.get(column) + element(problem.part(problem.a_wide), i));
            }
            const Owned product = problem.straightforward(false, false);
            problem.multiply(false, false, rounding, sums);
            EXPECT_TRUE(close("sums", sums, expected, 0.0, tolerance));
            EXPECT_TRUE(
                close("c", problem.part(problem.c_wide), product, 0.0, rounding == Rounding::none ? tolerance : 1e-2));
        }
    };
    expect(DType::float64, DType::float64, Rounding::none, 1e-13);
    expect(DType::float32, DType::float32, Rounding::none, 3e-6);
    expect(DType::float32, DType::float32, Rounding::bfloat16, 3e-6);
    on_each_gpu([&] {
        expect(DType::float32, DType::float32, Rounding::none, 3e-6);
        expect(DType::float32, DType::float32, Rounding::bfloat16, 4e-3);  // of a as it is multiplied
        expect(DType::float32, DType::bfloat16, Rounding::bfloat16, 3e-6);
    });
}

TEST(Matmul, SumsColumnsBesideAnEmptyProduct) {
    const auto check = [] {
        const Owned a = filled({3, 2}, DType::float32, 1.0), no_columns({3, 0}, DType::float32);
        const Owned nothing({2, 0}, DType::float32), sums = filled({2}, DType::float32, 0.5);
        matmul({.a = a, .b = no_columns, .c = nothing, .transpose_a = true, .a_column_sum = sums});
        EXPECT_EQ(sums.get(0), 3.5);
        EXPECT_EQ(sums.get(1), 3.5);
        const Owned no_rows({0, 2}, DType::float32), b({0, 4}, DType::float32), c({2, 4}, DType::float32);
        matmul({.a = no_rows, .b = b, .c = c, .transpose_a = true, .a_column_sum = sums});
        EXPECT_EQ(sums.get(0), 3.5);
    };
    check();
    on_each_gpu(check);
}

// By another way than the stand-in's: scaled so that the tenth bit of the mantissa is worth one.
double in_tf32(double x) {
    if (x == 0.0) return 0.0;
    int exponent = 0;
    const double fraction = std::frexp(x, &exponent);  // 0.5 <= |fraction| < 1
    return std::ldexp(std::round(std::ldexp(fraction, 11)), exponent - 11);
}

Owned in_tf32(const Owned& x) {
    Owned result(x.shape(), DType::float32);
    for (std::int64_t i = 0; i < x.count(); ++i) result.set(i, in_tf32(x.get(i)));
    return result;
}

// Numbers of 10 bits of mantissa are multiplied exactly; of others the last 13 bits are lost, a relative error of up to 2^-11 in each operand.
TEST_P(MatmulOf, Tf32OnAGpuRoundsTheOperandsToTenBits) {
    for (int bits = 0; bits < 32; ++bits) {
        const bool accumulate = (bits & 1) != 0, with_bias = (bits & 2) != 0, strided = (bits & 16) != 0;
        const auto problem = [&] {
            return Problem(GetParam(), DType::float32, (bits & 4) != 0, (bits & 8) != 0, strided);
        };
        Problem exact = problem();
        exact.a_wide = in_tf32(exact.a_wide);
        exact.b_wide = in_tf32(exact.b_wide);
        const Owned expected = exact.straightforward(accumulate, with_bias);
        on_each_gpu([&] {
            Problem there = problem(), representable = problem();
            representable.a_wide = converted(exact.a_wide, DType::float32);
            representable.b_wide = converted(exact.b_wide, DType::float32);
            there.multiply(accumulate, with_bias, Rounding::tf32);
            representable.multiply(accumulate, with_bias, Rounding::tf32);
            const bool rounds_like_us = OnDevice::current() == Device::simt;  // a library may cut the bits off instead
            EXPECT_TRUE(close("c", there.part(there.c_wide), expected, 0.0, rounds_like_us ? 3e-6 : 4e-3)) << bits;
            EXPECT_TRUE(
                close("of representable numbers", representable.part(representable.c_wide), expected, 0.0, 3e-6))
                << bits;
        });
    }
}

TEST(Matmul, Tf32DiffersFromFloat32ByItsRounding) {
    const auto multiplied = [](Rounding rounding) {
        Problem problem({60, 50, 200}, DType::float32, false, true, false);
        problem.multiply(false, false, rounding);
        return problem.c_wide;
    };
    const Owned exact = multiplied(Rounding::none);
    on_each_gpu([&] {
        const Owned got = multiplied(Rounding::tf32);
        double squares = 0.0, largest = 0.0;
        for (std::int64_t i = 0; i < exact.count(); ++i) {
            squares += std::pow(got.get(i) - exact.get(i), 2);
            largest = std::max(largest, std::abs(got.get(i) - exact.get(i)));
        }
        // A sum of 200 products of normals, each with two relative errors that are even in +-2^-11 or a little less: some 14 * 2^-12 in the mean.
        const double mean = std::sqrt(squares / static_cast<double>(exact.count()));
        EXPECT_GT(mean, 14.0 * std::ldexp(1.0, -13));
        EXPECT_LT(mean, 14.0 * std::ldexp(1.0, -11));
        EXPECT_LT(largest, 14.0 * std::ldexp(1.0, -9));
    });
}

TEST(Matmul, TheProcessorHasNoTf32) {
    const Owned x({3, 3}, DType::float32);
    EXPECT_THROW(matmul({.a = x, .b = x, .c = x, .rounding = Rounding::tf32}), std::logic_error);
}

TEST(Matmul, ABfloat16TensorOnAGpuIsForABfloat16Product) {
    on_each_gpu([] {
        const Owned half({3, 3}, DType::bfloat16), single({3, 3}, DType::float32);
        EXPECT_THROW(matmul({half, single, single}), std::logic_error);
        EXPECT_THROW(matmul({single, half, single}), std::logic_error);
        EXPECT_THROW(matmul({single, single, half}), std::logic_error);
        const Owned bias({3}, DType::bfloat16), twice({3, 3}, DType::float64);
        EXPECT_THROW(matmul({.a = half, .b = half, .c = half, .bias = bias, .rounding = Rounding::bfloat16}),
                     std::logic_error);
        EXPECT_THROW(matmul({.a = twice, .b = twice, .c = twice}), std::logic_error);
    });
}

TEST(Matmul, BrokenContractsNameTheShapes) {
    const Owned a = normals({3, 5}, DType::float32, 1), b = normals({4, 6}, DType::float32, 2);
    Owned c({3, 6}, DType::float32);
    try {
        matmul({a, b, c});
        FAIL() << "accepted";
    } catch (const std::logic_error& error) {
        EXPECT_STREQ(error.what(), "[matmul] shapes do not fit: a [3, 5], b [4, 6], c [3, 6]");
    }
    const Owned fits = normals({5, 6}, DType::float32, 2);
    EXPECT_THROW(matmul({.a = a, .b = fits, .c = c, .bias = normals({5}, DType::float32, 1)}), std::logic_error);
    EXPECT_THROW(matmul({a, normals({5, 6}, DType::float64, 1), c}), std::logic_error);
    const Owned half({3, 3}, DType::bfloat16), single({3, 3}, DType::float32);
    EXPECT_THROW(matmul({half, half, half}), std::logic_error);
    EXPECT_THROW(matmul({half, single, single}), std::logic_error);
    EXPECT_THROW(matmul({half, half, single}), std::logic_error);
    EXPECT_THROW(matmul({.a = a, .b = fits, .c = c, .a_column_sum = normals({3}, DType::float32, 1)}),
                 std::logic_error);
    EXPECT_THROW(matmul({.a = normals({5, 3}, DType::float32, 1),
                         .b = fits,
                         .c = c,
                         .transpose_a = true,
                         .a_column_sum = normals({5}, DType::float32, 1)}),
                 std::logic_error);
    EXPECT_THROW(matmul({.a = normals({5, 3}, DType::float32, 1),
                         .b = fits,
                         .c = c,
                         .transpose_a = true,
                         .bias = normals({6}, DType::float32, 1),
                         .a_column_sum = normals({3}, DType::float32, 1)}),
                 std::logic_error);
    Tensor overlapping = fits.tensor();
    overlapping.strides[0] = 2;
    EXPECT_THROW(matmul({a, overlapping, c}), std::logic_error);
}

}  // namespace
}  // namespace locus::test
