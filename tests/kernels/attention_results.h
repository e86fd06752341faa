#pragma once
// What an attention problem has computed, for comparisons.

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/kernels/attention_problem.h"
#include "tests/kernels/testing.h"

namespace locus::test {

/// All elements in row-major order.
inline std::vector<double> elements(const Tensor& x) {
    std::vector<double> all;
    for (std::int64_t n = 0; n < x.count(); ++n) all.push_back(element(x, n));
    return all;
}

/// Everything that a problem has computed.
inline std::vector<std::vector<double>> results(const AttentionProblem<float>& problem) {
    std::vector<std::vector<double>> all = {elements(problem.forward.out), elements(problem.forward.log_sum_exp)};
    for (const auto& one : problem.differentiable()) all.push_back(elements(one.second.second));
    return all;
}

/// A query that sees nothing has minus infinity, which must be met exactly.
inline void expect_same_log_sum_exp(const Tensor& got, const Tensor& expected, double tolerance) {
    for (std::int64_t n = 0; n < expected.count(); ++n) {
        const double a = element(got, n), b = element(expected, n);
        const bool ok = a == b || std::abs(a - b) <= tolerance * (1.0 + std::abs(b));
        ASSERT_TRUE(ok) << "log_sum_exp[" << n << "] is " << a << ", expected " << b;
    }
}

}  // namespace locus::test
