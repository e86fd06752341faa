#pragma once
// The exact confidence interval of a share (Clopper and Pearson 1934): every p for which seeing `successes` of `trials`, or something further
// out, has at least 2.5 % on that side. It covers p in 95 % of cases or more, also where the share is 0 or 1.
//
//   low   = q(0.025; k, n - k + 1)     high = q(0.975; k + 1, n - k)     q: quantile of the beta distribution
//
// Trials must be independent.

#include <cstdint>

namespace locus {

struct BinomialInterval {
    double low = 0, high = 1;
};

/// 95 %; 0 <= successes <= trials. No trials: [0, 1].
BinomialInterval binomial_interval(std::int64_t successes, std::int64_t trials);

/// I_x(a, b), the distribution function of the beta distribution; a, b > 0, 0 <= x <= 1.
double regularized_incomplete_beta(double a, double b, double x);

}  // namespace locus
