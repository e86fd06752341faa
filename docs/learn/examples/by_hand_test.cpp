// The examples that the chapters work out by hand, computed by the kernels.

#include <gtest/gtest.h>

#include "docs/learn/examples/values.h"
#include "kernels/adamw.h"
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

}  // namespace
}  // namespace locus::learn
