// Layer normalisation: two ways to a variance, and three tests of three gradients of which only one test is any good.
// Chapter: docs/learn/04-layer-norm.md

#include "kernels/layer_norm.h"

#include <fmt/core.h>
#include <omp.h>

#include <string>
#include <utility>

#include "docs/learn/examples/values.h"

namespace locus::learn {
namespace {

/// Largest relative error of the variance of 768 float32 values, over 20 samples.
double variance_error(float center, bool two_passes) {
    double worst = 0.0;
    for (std::uint32_t sample = 0; sample < 20; ++sample) {
        std::vector<float> x;
        for (const double value : random_values(768, sample)) x.push_back(center + static_cast<float>(value));
        double exact_mean = 0.0, exact = 0.0;
        for (const float value : x) exact_mean += value / 768.0;
        for (const float value : x) exact += (value - exact_mean) * (value - exact_mean) / 768.0;
        float sum = 0.0F, squares = 0.0F, deviations = 0.0F;
        for (const float value : x) sum += value;
        const float mean = sum / 768.0F;
        for (const float value : x) squares += value * value;
        for (const float value : x) deviations += (value - mean) * (value - mean);
        const float variance = (two_passes ? deviations : squares) / 768.0F - (two_passes ? 0.0F : mean * mean);
        worst = std::max(worst, std::abs(variance / exact - 1.0));
    }
    return worst;
}

constexpr std::int64_t rows = 4, columns = 64;

struct Problem {
    Values x, gamma, dy;
    Values beta = Values(columns), sum = x, y = x, mean = Values(rows), rstd = mean;

    double objective() {
        layer_norm_forward({.x = view(x, {rows, columns}),
                            .gamma = view(gamma, {columns}),
                            .beta = view(beta, {columns}),
                            .sum = view(sum, {rows, columns}),
                            .y = view(y, {rows, columns}),
                            .mean = view(mean, {rows}),
                            .rstd = view(rstd, {rows})});
        return dot(dy, y);
    }
};

Values our_gradient(Problem p) {
    p.objective();
    Values dx = p.x, dgamma = p.beta, dbeta = p.beta;
    layer_norm_backward({.dy = view(p.dy, {rows, columns}),
                         .sum = view(p.sum, {rows, columns}),
                         .gamma = view(p.gamma, {columns}),
                         .mean = view(p.mean, {rows}),
                         .rstd = view(p.rstd, {rows}),
                         .dx = view(dx, {rows, columns}),
                         .dgamma = view(dgamma, {columns}),
                         .dbeta = view(dbeta, {columns})});
    return dx;
}

/// gamma multiplies after the two means are taken instead of before.
Values gamma_too_late(Problem p) {
    const Values gamma = std::exchange(p.gamma, Values(columns, 1.0));
    Values dx = our_gradient(p);
    for (std::size_t n = 0; n < dx.size(); ++n) dx[n] *= gamma[n % columns];
    return dx;
}

/// Relative to the largest central difference, or absolute where all of them are tiny.
std::string verdict(Problem p, const Values& dx) {
    const Values expected = central_differences(
        p.x, [&] { return p.objective(); }, 1e-4);
    const double largest = largest_difference(expected, Values(dx.size()));
    const double error = largest_difference(dx, expected) / (largest > 1e-6 ? largest : 1.0);
    return error < 1e-6 ? "passes" : fmt::format("FAILS, off by {:.2f}", error);
}

}  // namespace
}  // namespace locus::learn

int main() {
    using namespace locus::learn;
    omp_set_num_threads(1);  // four rows need no team of threads
    fmt::print("1. Relative error of a float32 variance (768 values, standard deviation 1)\n");
    fmt::print("   {:>6} {:>10} {:>11}\n", "mean", "one pass", "two passes");
    for (const float mean : {0.0F, 10.0F, 100.0F, 1000.0F}) {
        fmt::print("   {:6} {:10.0e} {:>11}\n", mean, variance_error(mean, false),
                   variance_error(mean, true) < 5e-6 ? "< 5e-6" : "larger");
    }

    const Values x = random_values(rows * columns, 100), dy = random_values(rows * columns, 102);
    const Values ones(columns, 1.0), gamma = random_values(columns, 101);
    fmt::print("\n2. Three gradients of x [4, 64] under three tests (tolerance 1e-6)\n");
    fmt::print("   {:<28} {:<12} {:<24} {}\n", "test", "ours", "gamma too late", "all zero");
    const auto test = [](const char* name, const Problem& p) {
        fmt::print("   {:<28} {:<12} {:<24} {}\n", name, verdict(p, our_gradient(p)), verdict(p, gamma_too_late(p)),
                   verdict(p, Values(p.x.size())));
    };
    test("sum of y, gamma = 1", {x, ones, Values(x.size(), 1.0)});
    test("random . y, gamma = 1", {x, ones, dy});
    test("random . y, gamma random", {x, gamma, dy});
}
