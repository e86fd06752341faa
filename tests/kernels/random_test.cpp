#include "kernels/random.h"

#include <gtest/gtest.h>

#include <cmath>

namespace locus {
namespace {

// The known-answer vectors that the authors of Philox publish for philox4x32-10.
TEST(Philox, GivesThePublishedVectors) {
    EXPECT_EQ(philox({0, 0}, {0, 0, 0, 0}), (Philox4{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
    constexpr std::uint32_t ones = 0xffffffff;
    EXPECT_EQ(philox({ones, ones}, {ones, ones, ones, ones}),
              (Philox4{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
    EXPECT_EQ(philox({0xa4093822, 0x299f31d0}, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
              (Philox4{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, EveryWordOfKeyAndCounterMatters) {
    const Philox4 base = philox({1, 2}, {3, 4, 5, 6});
    EXPECT_NE(philox({9, 2}, {3, 4, 5, 6}), base);
    EXPECT_NE(philox({1, 9}, {3, 4, 5, 6}), base);
    for (std::size_t word = 0; word < 4; ++word) {
        Philox4 counter = {3, 4, 5, 6};
        counter[word] = 9;
        EXPECT_NE(philox({1, 2}, counter), base) << word;
    }
}

TEST(Uniform, CoversTheHalfOpenInterval) {
    EXPECT_EQ(uniform(0), 0.0);
    EXPECT_LT(uniform(0xffffffff), 1.0);
    EXPECT_DOUBLE_EQ(uniform(0x80000000), 0.5);
}

TEST(Below, CoversEveryValueEvenly) {
    EXPECT_EQ(below(0, 7), 0U);
    EXPECT_EQ(below(0xffffffff, 7), 6U);
    int counts[7] = {};
    for (std::uint32_t i = 0; i < 70000; ++i) ++counts[below(philox({1, 2}, {i, 0, 0, 0})[0], 7)];
    for (int count : counts) EXPECT_NEAR(count, 10000, 500);  // five standard deviations
}

TEST(BoxMuller, GivesStandardNormals) {
    double sum = 0.0, squares = 0.0, fourth = 0.0, product = 0.0;
    constexpr int pairs = 100000;
    for (std::uint32_t i = 0; i < pairs; ++i) {
        const Philox4 bits = philox({3, 4}, {i, 0, 0, 0});
        const auto [a, b] = box_muller(bits[0], bits[1]);
        ASSERT_TRUE(std::isfinite(a) && std::isfinite(b));
        sum += a + b;
        squares += a * a + b * b;
        fourth += a * a * a * a + b * b * b * b;
        product += a * b;
    }
    EXPECT_NEAR(sum / (2 * pairs), 0.0, 0.012);
    EXPECT_NEAR(squares / (2 * pairs), 1.0, 0.016);
    EXPECT_NEAR(fourth / (2 * pairs), 3.0, 0.12);
    EXPECT_NEAR(product / pairs, 0.0, 0.016);
}

TEST(BoxMuller, IsFiniteAtTheEndsOfTheRange) {
    for (std::uint32_t bits : {0U, 1U, 0x80000000U, 0xffffffffU}) {
        EXPECT_TRUE(std::isfinite(box_muller(bits, bits)[0])) << bits;
    }
}

}  // namespace
}  // namespace locus
