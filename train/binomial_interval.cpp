#include "train/binomial_interval.h"

#include <cmath>
#include <initializer_list>

namespace locus {

namespace {

double away_from_zero(double value) {
    constexpr double tiny = 1e-300;
    return std::abs(value) < tiny ? tiny : value;
}

/// The continued fraction of I_x(a, b), by Lentz's method (Press et al., Numerical Recipes, section 6.4); fast for x < (a + 1) / (a + b + 2).
double continued_fraction(double a, double b, double x) {
    constexpr int most_terms = 100'000;
    double c = 1, d = 1 / away_from_zero(1 - (a + b) * x / (a + 1)), value = d;
    for (int m = 1; m < most_terms; ++m) {
        const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        double change = 1;
        for (const double term : {even, odd}) {
            d = 1 / away_from_zero(1 + term * d);
            c = away_from_zero(1 + term / c);
            change = c * d;
            value *= change;
        }
        if (std::abs(change - 1) < 1e-15) break;
    }
    return value;
}

double beta_quantile(double p, double a, double b) {
    double low = 0, high = 1;
    for (int halving = 0; halving < 60; ++halving) {
        const double middle = (low + high) / 2;
        (regularized_incomplete_beta(a, b, middle) < p ? low : high) = middle;
    }
    return (low + high) / 2;
}

}  // namespace

double regularized_incomplete_beta(double a, double b, double x) {
    if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
    const double log_front =
        std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x);
    if (x < (a + 1) / (a + b + 2)) return std::exp(log_front) * continued_fraction(a, b, x) / a;
    return 1 - std::exp(log_front) * continued_fraction(b, a, 1 - x) / b;
}

BinomialInterval binomial_interval(std::int64_t successes, std::int64_t trials) {
    const auto k = static_cast<double>(successes), n = static_cast<double>(trials);
    BinomialInterval interval;
    if (successes > 0) interval.low = beta_quantile(0.025, k, n - k + 1);
    if (successes < trials) interval.high = beta_quantile(0.975, k + 1, n - k);
    return interval;
}

}  // namespace locus
