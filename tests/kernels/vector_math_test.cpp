// The headers that kernels share, here in an instruction set's namespace of the test's own.

#define LOCUS_TARGET test_target
#include "kernels/vector_math.h"

#include <gtest/gtest.h>

#include <limits>

#include "kernels/philox_lanes.h"

namespace locus::LOCUS_TARGET {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

TEST(VectorExp, IsAccurateOverItsRange) {
    double worst = 0.0;
    for (double at = -86.8; at < 88.7; at += 1e-3) {
        const auto x = static_cast<float>(at);
        const double expected = std::exp(static_cast<double>(x));
        const double error = std::abs(static_cast<double>(vector_exp(x)) / expected - 1.0);
        ASSERT_FALSE(std::isnan(error)) << x;
        worst = std::max(worst, error);
    }
    EXPECT_LT(worst, 2.5e-7);
    EXPECT_EQ(vector_exp(0.0F), 1.0F);
}

TEST(VectorExp, HasTheRightEnds) {
    EXPECT_EQ(vector_exp(-infinity), 0.0F);
    EXPECT_EQ(vector_exp(-1e30F), 0.0F);
    EXPECT_EQ(vector_exp(-87.5F), 0.0F);
    EXPECT_EQ(vector_exp(infinity), infinity);
    EXPECT_EQ(vector_exp(89.0F), infinity);
    EXPECT_TRUE(std::isnan(vector_exp(std::numeric_limits<float>::quiet_NaN())));
}

TEST(VectorTanh, IsAccurateAndBounded) {
    for (double at = -15.0; at < 15.0; at += 1e-3) {
        const auto x = static_cast<float>(at);
        const bool ok = std::abs(static_cast<double>(vector_tanh(x)) - std::tanh(static_cast<double>(x))) <= 2e-7;
        ASSERT_TRUE(ok) << x;
    }
    EXPECT_EQ(vector_tanh(infinity), 1.0F);
    EXPECT_EQ(vector_tanh(-infinity), -1.0F);
    EXPECT_TRUE(std::isnan(vector_tanh(std::numeric_limits<float>::quiet_NaN())));
}

TEST(NormalDistribution, IsAccurateInTheMiddleAndInTheTail) {
    for (double at = -12.0; at < 12.0; at += 1e-3) {
        const auto z = static_cast<float>(at);
        const Normal<double> expected = normal_distribution(static_cast<double>(z));
        const Normal<float> got = normal_distribution(z);
        ASSERT_TRUE(std::abs(static_cast<double>(got.cdf) - expected.cdf) <= 2e-7) << z;
        ASSERT_TRUE(std::abs(static_cast<double>(got.density) - expected.density) <= 1e-7) << z;
        const double ratio = static_cast<double>(got.cdf) / expected.cdf;
        ASSERT_TRUE(!(z > -8.0F && z < 0.0F) || std::abs(ratio - 1.0) <= 4e-6) << z;
    }
    EXPECT_NEAR(normal_distribution(0.0).density, 0.3989422804014327, 1e-15);
    EXPECT_NEAR(normal_distribution(1.0).cdf, 0.8413447460685429, 1e-15);
}

TEST(PhiloxLanes, GivesTheBitsOfPhiloxInEveryLane) {
    PhiloxCounters counters;
    for (std::uint32_t lane = 0; lane < philox_lane_count; ++lane) {
        counters.c0[lane] = 0xfffffff0U + 3 * lane;  // wraps
        counters.c1[lane] = 0x12345678U * (lane + 1);
    }
    counters.c2 = 0xffffffff;
    counters.c3 = 0x80000001;
    for (PhiloxKey key : {PhiloxKey{0, 0}, PhiloxKey{0xffffffff, 0xffffffff}, PhiloxKey{7, 0x10003}}) {
        std::uint32_t words[philox_lane_count][4];
        philox_lanes(key, counters, words);
        for (int lane = 0; lane < philox_lane_count; ++lane) {
            const Philox4 expected = philox(key, {counters.c0[lane], counters.c1[lane], counters.c2, counters.c3});
            for (std::size_t w = 0; w < 4; ++w) EXPECT_EQ(words[lane][w], expected[w]) << lane << " " << w;
        }
    }
}

TEST(DropoutRule, RoundsTheProbabilityToItsGrid) {
    const DropoutRule rule = dropout_rule("test", {.probability = 0.1F});
    EXPECT_EQ(rule.threshold, 6554U);
    EXPECT_DOUBLE_EQ(rule.scale, 65536.0 / (65536.0 - 6554.0));
    EXPECT_EQ(dropout_rule("test", {}).threshold, 0U);
    EXPECT_THROW(dropout_rule("test", {.probability = 1.0F}), std::logic_error);
    EXPECT_THROW(dropout_rule("test", {.probability = -0.5F}), std::logic_error);
    EXPECT_THROW(dropout_rule("test", {.probability = std::numeric_limits<float>::quiet_NaN()}), std::logic_error);
}

}  // namespace
}  // namespace locus::LOCUS_TARGET
