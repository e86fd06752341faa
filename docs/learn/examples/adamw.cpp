// AdamW in a valley: f(x, y) = (x^2 + 50 y^2) / 2, the path with and without bias correction, and where weight decay goes.
// Chapter: docs/learn/06-adamw.md

#include "kernels/adamw.h"

#include <fmt/core.h>
#include <omp.h>

#include <array>
#include <cmath>

namespace locus {
namespace {

using Point = std::array<double, 2>;

Tensor tensor(Point& values) { return Tensor(values.data(), {2}, DType::float64); }

/// One walker and its two moments.
struct Walker {
    Point at, m = {0.0, 0.0}, v = {0.0, 0.0};

    /// In a step this late the corrections 1 - beta^t are 1: the same kernel without bias correction.
    static constexpr std::int64_t late = 1'000'000;

    void step(Point gradient, std::int64_t t, double learning_rate, double weight_decay = 0.0) {
        adamw({.parameter = tensor(at),
               .gradient = tensor(gradient),
               .m = tensor(m),
               .v = tensor(v),
               .learning_rate = learning_rate,
               .beta1 = 0.9,
               .beta2 = 0.999,
               .epsilon = 1e-8,
               .weight_decay = weight_decay,
               .step = t});
    }
};

Point slope(const Point& p) { return {p[0], 50 * p[1]}; }
double height(const Point& p) { return (p[0] * p[0] + 50 * p[1] * p[1]) / 2; }

void walk() {
    fmt::print("1. Down the valley from (1, 1), learning rate 0.1\n");
    fmt::print("   {:>4}   {:^28}   {:^28}\n", "step", "with bias correction", "without");
    Walker with{{1.0, 1.0}}, without{{1.0, 1.0}};
    for (int t = 0; t <= 100; ++t) {
        if (t > 0) {
            with.step(slope(with.at), t, 0.1);
            without.step(slope(without.at), Walker::late, 0.1);
        }
        if (t > 5 && t != 10 && t != 20 && t != 50 && t != 100) continue;
        fmt::print("   {:4}", t);
        for (const Walker* w : {&with, &without})
            fmt::print("   ({:6.3f}, {:6.3f}) f {:8.4f}", w->at[0], w->at[1], height(w->at));
        fmt::print("\n");
    }
}

void constant_slope() {
    fmt::print("\n2. Length of a step over the learning rate, on a constant slope of 1 and of 0.001\n");
    fmt::print("   {:>5} {:>12} {:>12}\n", "step", "corrected", "uncorrected");
    Walker with{{0.0, 0.0}}, without = with;
    for (int t = 1; t <= 5000; ++t) {
        const Point before = with.at, before_without = without.at;
        with.step({1.0, 0.001}, t, 1.0);
        without.step({1.0, 0.001}, Walker::late, 1.0);
        if (t != 1 && t != 2 && t != 5 && t != 12 && t != 100 && t != 1000 && t != 5000) continue;
        fmt::print("   {:5} {:5.2f} {:6.2f} {:5.2f} {:6.2f}\n", t, before[0] - with.at[0], before[1] - with.at[1],
                   before_without[0] - without.at[0], before_without[1] - without.at[1]);
    }
}

/// Two weights at 1 whose gradient is only noise, +-s: large for the first, small for the second.
void decay() {
    Walker decoupled{{1.0, 1.0}}, inside = decoupled;
    for (int t = 1; t <= 1000; ++t) {
        const double sign = t % 2 == 0 ? 1.0 : -1.0;
        const Point noise = {10 * sign, 0.1 * sign};
        decoupled.step(noise, t, 0.001, 0.1);
        inside.step({noise[0] + 0.1 * inside.at[0], noise[1] + 0.1 * inside.at[1]}, t, 0.001);
    }
    fmt::print("\n3. Weights after 1000 steps of decay 0.1 (gradients +-10 and +-0.1)\n");
    fmt::print("   decoupled (AdamW)      {:.2f} {:.2f}\n", decoupled.at[0], decoupled.at[1]);
    fmt::print("   added to the gradient  {:.2f} {:.2f}\n", inside.at[0], inside.at[1]);
}

}  // namespace
}  // namespace locus

int main() {
    omp_set_num_threads(1);  // two numbers need no team of threads
    locus::walk();
    locus::constant_slope();
    locus::decay();
}
