#include "train/binomial_interval.h"

#include <gtest/gtest.h>

#include <cmath>

namespace locus {
namespace {

double binomial_tail(std::int64_t at_least, std::int64_t trials, double p) {
    double sum = 0;
    for (std::int64_t k = at_least; k <= trials; ++k) {
        const auto x = static_cast<double>(k), n = static_cast<double>(trials);
        sum += std::exp(std::lgamma(n + 1) - std::lgamma(x + 1) - std::lgamma(n - x + 1) + x * std::log(p) +
                        (n - x) * std::log1p(-p));
    }
    return sum;
}

TEST(BinomialInterval, EndsWhereTheTailsHaveTwoAndAHalfPercent) {
    for (const std::int64_t trials : {5, 40, 1000}) {
        for (const std::int64_t successes : {std::int64_t{1}, trials / 3, trials - 1}) {
            const BinomialInterval interval = binomial_interval(successes, trials);
            EXPECT_NEAR(binomial_tail(successes, trials, interval.low), 0.025, 1e-9) << successes << " of " << trials;
            EXPECT_NEAR(1 - binomial_tail(successes + 1, trials, interval.high), 0.025, 1e-9);
        }
    }
}

TEST(BinomialInterval, NoneAndAllHaveClosedForms) {
    const BinomialInterval none = binomial_interval(0, 20), all = binomial_interval(20, 20);
    EXPECT_EQ(none.low, 0);
    EXPECT_NEAR(none.high, 1 - std::pow(0.025, 1.0 / 20), 1e-12);
    EXPECT_NEAR(all.low, std::pow(0.025, 1.0 / 20), 1e-12);
    EXPECT_EQ(all.high, 1);
    const BinomialInterval nothing = binomial_interval(0, 0);
    EXPECT_EQ(nothing.low, 0);
    EXPECT_EQ(nothing.high, 1);
}

TEST(BinomialInterval, OfManyTrialsIsTheNormalOne) {
    const BinomialInterval interval = binomial_interval(300'000, 1'000'000);
    const double error = std::sqrt(0.3 * 0.7 / 1e6);
    EXPECT_NEAR(interval.low, 0.3 - 1.959964 * error, 0.01 * error);
    EXPECT_NEAR(interval.high, 0.3 + 1.959964 * error, 0.01 * error);
}

TEST(RegularizedIncompleteBeta, HasItsClosedFormsAndItsSymmetry) {
    for (const double x : {0.01, 0.3, 0.5, 0.9}) {
        EXPECT_NEAR(regularized_incomplete_beta(1, 1, x), x, 1e-14);
        EXPECT_NEAR(regularized_incomplete_beta(3, 1, x), x * x * x, 1e-14);
        EXPECT_NEAR(regularized_incomplete_beta(2.5, 7, x), 1 - regularized_incomplete_beta(7, 2.5, 1 - x), 1e-14);
    }
}

}  // namespace
}  // namespace locus
