// Layer normalisation: two ways to a variance, and three tests of three gradients of which only one test is any good.
// Chapter: docs/learn/04-layer-norm.md

#include "kernels/layer_norm.h"

#include <fmt/core.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "kernels/random.h"

namespace locus {
namespace {

constexpr int rows = 4, columns = 64;
using Values = std::vector<double>;

Values random_values(std::size_t count, std::uint32_t seed) {
    Values values;
    for (std::uint32_t n = 0; n < count; ++n) {
        const Philox4 bits = philox({seed, 0}, {n, 0, 0, 0});
        values.push_back(box_muller(bits[0], bits[1])[0]);
    }
    return values;
}

/// Largest relative error of the variance of 768 float32 values, over 20 samples.
double variance_error(float mean, bool two_passes) {
    double worst = 0.0;
    for (std::uint32_t sample = 0; sample < 20; ++sample) {
        std::vector<float> x;
        for (const double value : random_values(768, sample)) x.push_back(mean + static_cast<float>(value));
        double exact_mean = 0.0, exact = 0.0;
        for (const float value : x) exact_mean += value / 768.0;
        for (const float value : x) exact += (value - exact_mean) * (value - exact_mean) / 768.0;
        float sum = 0.0F, squares = 0.0F, deviations = 0.0F;
        for (const float value : x) {
            sum += value;
            squares += value * value;
        }
        const float m = sum / 768.0F;
        for (const float value : x) deviations += (value - m) * (value - m);
        const float variance = two_passes ? deviations / 768.0F : squares / 768.0F - m * m;
        worst = std::max(worst, std::abs(variance / exact - 1.0));
    }
    return worst;
}

struct Problem {
    Values x, gamma, beta, dy;
};

Tensor matrix(Values& values) { return Tensor(values.data(), {rows, columns}, DType::float64); }
Tensor vector(Values& values) {
    return Tensor(values.data(), {static_cast<std::int64_t>(values.size())}, DType::float64);
}

struct Forward {
    Values sum = Values(rows * columns), y = sum, mean = Values(rows), rstd = mean;

    explicit Forward(Problem p) {
        layer_norm_forward({.x = matrix(p.x),
                            .gamma = vector(p.gamma),
                            .beta = vector(p.beta),
                            .epsilon = 1e-12,
                            .sum = matrix(sum),
                            .y = matrix(y),
                            .mean = vector(mean),
                            .rstd = vector(rstd)});
    }
};

Values our_gradient(Problem p) {
    Forward f(p);
    Values dx(rows * columns), dgamma(columns), dbeta(columns);
    layer_norm_backward({.dy = matrix(p.dy),
                         .sum = matrix(f.sum),
                         .gamma = vector(p.gamma),
                         .mean = vector(f.mean),
                         .rstd = vector(f.rstd),
                         .dx = matrix(dx),
                         .dgamma = vector(dgamma),
                         .dbeta = vector(dbeta)});
    return dx;
}

/// gamma multiplies after the two means are taken instead of before.
Values gamma_too_late(Problem p) {
    Problem plain = p;
    plain.gamma.assign(columns, 1.0);
    Values dx = our_gradient(plain);
    for (std::size_t n = 0; n < dx.size(); ++n) dx[n] *= p.gamma[n % columns];
    return dx;
}

Values all_zero(const Problem&) { return Values(rows * columns); }

double objective(const Problem& p) {
    const Values y = Forward(p).y;
    double sum = 0.0;
    for (std::size_t n = 0; n < y.size(); ++n) sum += p.dy[n] * y[n];
    return sum;
}

/// Largest difference from central differences: relative to the largest of them, or absolute where they are all tiny.
double gradient_error(const Problem& p, const Values& dx) {
    double largest = 0.0, worst = 0.0;
    for (std::size_t n = 0; n < dx.size(); ++n) {
        Problem above = p, below = p;
        above.x[n] += 1e-4;
        below.x[n] -= 1e-4;
        const double expected = (objective(above) - objective(below)) / 2e-4;
        largest = std::max(largest, std::abs(expected));
        worst = std::max(worst, std::abs(dx[n] - expected));
    }
    return worst / (largest > 1e-6 ? largest : 1.0);
}

std::string verdict(double error) { return error < 1e-6 ? "passes" : fmt::format("FAILS, off by {:.2f}", error); }

}  // namespace
}  // namespace locus

int main() {
    using namespace locus;
    fmt::print("1. Relative error of a float32 variance (768 values, standard deviation 1)\n");
    fmt::print("   {:>6} {:>10} {:>11}\n", "mean", "one pass", "two passes");
    for (const float mean : {0.0F, 10.0F, 100.0F, 1000.0F}) {
        fmt::print("   {:6} {:10.0e} {:>11}\n", mean, variance_error(mean, false),
                   variance_error(mean, true) < 5e-6 ? "< 5e-6" : "larger");
    }

    const Values ones(columns, 1.0), x = random_values(rows * columns, 100);
    Values gamma = random_values(columns, 101);
    const Problem sum{x, ones, Values(columns), Values(rows * columns, 1.0)};
    const Problem random{x, ones, Values(columns), random_values(rows * columns, 102)};
    const Problem both{x, gamma, Values(columns), random.dy};
    fmt::print("\n2. Three gradients of x [4, 64] under three tests (tolerance 1e-6)\n");
    fmt::print("   {:<28} {:<24} {:<24} {}\n", "test", "ours", "gamma too late", "all zero");
    for (const auto& [name, p] : {std::pair{"sum of y, gamma = 1", sum}, std::pair{"random . y, gamma = 1", random},
                                  std::pair{"random . y, gamma random", both}}) {
        fmt::print("   {:<28} {:<24} {:<24} {}\n", name, verdict(gradient_error(p, our_gradient(p))),
                   verdict(gradient_error(p, gamma_too_late(p))), verdict(gradient_error(p, all_zero(p))));
    }
}
