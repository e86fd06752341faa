#include "train/bootstrap.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/random.h"

namespace locus {
namespace {

TEST(DrawCounts, ArePoissonWithMeanOne) {
    std::vector<double> counts;
    double sum = 0, squares = 0, zeros = 0;
    constexpr std::uint32_t pieces = 100;
    for (std::uint32_t piece = 0; piece < pieces; ++piece) {
        draw_counts(3, piece, counts);
        ASSERT_EQ(counts.size(), static_cast<std::size_t>(bootstrap_replicates));
        for (const double count : counts) {
            sum += count;
            squares += count * count;
            zeros += count == 0 ? 1 : 0;
        }
    }
    const double all = pieces * static_cast<double>(bootstrap_replicates);  // 200,000 draws
    EXPECT_NEAR(sum / all, 1.0, 0.01);
    EXPECT_NEAR(squares / all - 1, 1.0, 0.03);  // the variance
    EXPECT_NEAR(zeros / all, std::exp(-1.0), 0.005);
}

TEST(DrawCounts, AreAFunctionOfSeedAndPiece) {
    std::vector<double> a, b;
    draw_counts(3, 7, a);
    draw_counts(3, 7, b);
    EXPECT_EQ(a, b);
    draw_counts(3, 8, b);
    EXPECT_NE(a, b);
    draw_counts(4, 7, b);
    EXPECT_NE(a, b);
}

/// The ratio over `pieces` normal losses with this mean and deviation 1, of one target each.
BootstrappedRatio normal_pieces(std::uint32_t trial, std::uint32_t pieces, double mean) {
    BootstrappedRatio ratio;
    std::vector<double> counts;
    for (std::uint32_t piece = 0; piece < pieces; ++piece) {
        const Philox4 bits = philox({trial, 1234}, {piece, 0, 0, 0});
        draw_counts(trial, piece, counts);
        ratio.add(mean + box_muller(bits[0], bits[1])[0], 1, counts);
    }
    return ratio;
}

TEST(BootstrappedRatio, TheIntervalIsThatOfTheNormalApproximation) {
    const BootstrappedRatio ratio = normal_pieces(1, 1000, 2.0);
    const double error = 1 / std::sqrt(1000.0);
    const Interval interval = ratio.interval().value();
    EXPECT_NEAR(interval.low, ratio.value() - 1.96 * error, 0.3 * error);
    EXPECT_NEAR(interval.high, ratio.value() + 1.96 * error, 0.3 * error);
}

TEST(BootstrappedRatio, CoversTheTruthInNineteenOfTwentyTrials) {
    int covered = 0;
    constexpr int trials = 200;
    for (std::uint32_t trial = 0; trial < trials; ++trial) {
        const Interval interval = normal_pieces(trial, 60, 2.0).interval().value();
        covered += interval.low <= 2.0 && 2.0 <= interval.high ? 1 : 0;
    }
    // 190 are expected; three standard deviations below and above, and a little less because 60 pieces are few.
    EXPECT_GE(covered, 178);
    EXPECT_LE(covered, 199);
}

TEST(BootstrappedRatio, IsTheRatioOfSumsNotTheMeanOfRatios) {
    std::vector<double> counts;
    draw_counts(1, 0, counts);
    BootstrappedRatio ratio;
    EXPECT_TRUE(ratio.is_empty());
    ratio.add(1, 1, counts);
    ratio.add(9, 3, counts);
    EXPECT_DOUBLE_EQ(ratio.value(), 2.5);
    EXPECT_FALSE(ratio.is_empty());
}

TEST(BootstrappedRatio, FewerThanTwoPiecesHaveNoInterval) {
    std::vector<double> counts;
    draw_counts(1, 0, counts);
    BootstrappedRatio ratio;
    ratio.add(2, 1, counts);
    ratio.add(0, 0, counts);  // a piece without a target
    EXPECT_FALSE(ratio.interval().has_value());
    ratio.add(3, 1, counts);
    EXPECT_TRUE(ratio.interval().has_value());
}

}  // namespace
}  // namespace locus
