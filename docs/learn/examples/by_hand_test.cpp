// The examples that the chapters work out by hand, computed by the kernels.

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "docs/learn/examples/bfloat16_parts.h"
#include "docs/learn/examples/values.h"
#include "kernels/adamw.h"
#include "kernels/attention.h"
#include "kernels/isa.h"
#include "kernels/layer_norm.h"
#include "kernels/matmul.h"

namespace locus::learn {
namespace {

TEST(ByHand, TheMatrixProductOfChapter2AndItsGradients) {
    Values x = {1, 2}, w = {3, 4, 5, 6}, dy = {1, -1}, y(2), dx(2), dw(4);
    matmul({.a = view(x, {1, 2}), .b = view(w, {2, 2}), .c = view(y, {1, 2}), .transpose_b = true});
    matmul({.a = view(dy, {1, 2}), .b = view(w, {2, 2}), .c = view(dx, {1, 2})});
    matmul({.a = view(dy, {1, 2}), .b = view(x, {1, 2}), .c = view(dw, {2, 2}), .transpose_a = true});
    EXPECT_EQ(y, (Values{11, 17}));
    EXPECT_EQ(dx, (Values{-2, -2}));
    EXPECT_EQ(dw, (Values{1, 2, -1, -2}));
}

TEST(ByHand, TheThreeBfloat16PartsOfChapter2AndWhatTheirProductLoses) {
    const float x = 1.0F / 3.0F;
    const Parts parts = bfloat16_parts(x);
    EXPECT_EQ(std::ldexp(x, 25), 11184811.0F);
    EXPECT_EQ(parts, (Parts{171.0F / 0x1p9F, -171.0F / 0x1p18F, 43.0F / 0x1p25F}));
    const double unit = 0x1p-50, x1 = parts[0], x2 = parts[1], x3 = parts[2], exact = static_cast<double>(x) * x;
    const double kept = x1 * x1 + 2 * x1 * x2 + 2 * x1 * x3 + x2 * x2;
    EXPECT_EQ((exact - kept) / unit, -1880519.0);
    EXPECT_NEAR(std::log2((kept - exact) / exact), -26.0, 0.1);
}

std::vector<float> float32_numbers(std::size_t count, std::uint32_t seed) {
    const Values values = random_values(count, seed);
    return {values.begin(), values.end()};
}

TEST(ByHand, TheModelOfChapter2HasTheBitsOfTheTiles) {
    if (isa() != Isa::amx) GTEST_SKIP() << "this processor has no tile registers";
    constexpr std::size_t m = 5, n = 7, k = 96;
    std::vector<float> a = float32_numbers(m * k, 1), b = float32_numbers(n * k, 2), c(m * n);
    matmul({.a = Tensor(a.data(), {m, k}, DType::float32),
            .b = Tensor(b.data(), {n, k}, DType::float32),
            .c = Tensor(c.data(), {m, n}, DType::float32),
            .transpose_b = true});
    const auto parts = [](const std::vector<float>& x, std::size_t row) {
        std::vector<Parts> of_row;
        for (std::size_t e = row * k; e < (row + 1) * k; ++e) of_row.push_back(bfloat16_parts(x[e]));
        return of_row;
    };
    for (std::size_t i = 0; i < m; ++i)
        for (std::size_t j = 0; j < n; ++j) EXPECT_EQ(c[i * n + j], inner_product(parts(a, i), parts(b, j), 3));
}

/// The gradient of x = (1, 3, 1, 3) for dy = (4, 0, 0, 0).
Values layer_norm_gradient(Values gamma) {
    Values x = {1, 3, 1, 3}, dy = {4, 0, 0, 0}, beta(4), y(4), mean(1), rstd(1), dx(4), dgamma(4), dbeta(4);
    layer_norm_forward({.x = view(x, {1, 4}),
                        .gamma = view(gamma, {4}),
                        .beta = view(beta, {4}),
                        .sum = view(x, {1, 4}),
                        .y = view(y, {1, 4}),
                        .mean = view(mean, {1}),
                        .rstd = view(rstd, {1})});
    layer_norm_backward({.dy = view(dy, {1, 4}),
                         .sum = view(x, {1, 4}),
                         .gamma = view(gamma, {4}),
                         .mean = view(mean, {1}),
                         .rstd = view(rstd, {1}),
                         .dx = view(dx, {1, 4}),
                         .dgamma = view(dgamma, {4}),
                         .dbeta = view(dbeta, {4})});
    return dx;
}

TEST(ByHand, TheLayerNormOfChapter4AndItsWrongGradient) {
    const Values gamma = {2, 1, 1, 1};
    EXPECT_LE(largest_difference(layer_norm_gradient(gamma), {4, 0, -4, 0}), 1e-9);
    Values too_late = layer_norm_gradient({1, 1, 1, 1});
    for (std::size_t c = 0; c < 4; ++c) too_late[c] *= gamma[c];
    EXPECT_LE(largest_difference(too_late, {4, 0, -2, 0}), 1e-9);
}

TEST(ByHand, TheFirstStepOfChapter6) {
    for (const double slope : {1.0, -0.001, 50.0}) {
        Values p = {0}, g = {slope}, m = {0}, v = {0};
        adamw({.parameter = view(p, {1}),
               .gradient = view(g, {1}),
               .m = view(m, {1}),
               .v = view(v, {1}),
               .learning_rate = 0.1,
               .epsilon = 1e-12});
        EXPECT_NEAR(p[0], slope > 0 ? -0.1 : 0.1, 1e-9) << slope;
    }
}

TEST(ByHand, TheSoftmaxInTwoTilesOfChapter7) {
    Values q(8), k = {1, 3, 2, 0, 5, 1, 4, 2}, value = {1, 2, 3, 4, 5, 6, 7, 8}, out(8), log_sum_exp(8);
    q[0] = 1;
    std::vector<std::int32_t> offsets = {0, 8}, positions = {0, 1, 2, 3, 4, 5, 6, 7};
    const AttentionRows rows = {Tensor(offsets.data(), {2}, DType::int32), Tensor(positions.data(), {8}, DType::int32)};
    AttentionTerms terms;
    terms.scale = 1;
    Arena arena;
    attention_forward({.q = view(q, {8, 1, 1}),
                       .k = view(k, {8, 1, 1}),
                       .value = view(value, {8, 1, 1}),
                       .q_rows = rows,
                       .k_rows = rows,
                       .terms = terms,
                       .out = view(out, {8, 1, 1}),
                       .log_sum_exp = view(log_sum_exp, {8, 1}),
                       .arena = &arena});
    EXPECT_NEAR(out[0], 5.1931, 5e-5);
    EXPECT_NEAR(log_sum_exp[0], 5 + std::log(1.6462), 5e-5);
}

}  // namespace
}  // namespace locus::learn
