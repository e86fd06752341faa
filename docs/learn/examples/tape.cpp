// The tape: a gradient that you can follow by hand, how good a finite difference is, and what a step asks of the system.
// Chapter: docs/learn/01-the-tape.md

#include <fmt/core.h>
#include <omp.h>

#include <cmath>
#include <utility>

#include "docs/learn/examples/values.h"
#include "model/autograd/operations.h"

namespace locus::learn {
namespace {

/// h = x v,  y = h w + h: the value h has two consumers, so its gradient has two contributions.
void follow_by_hand() {
    Parameters parameters(DType::float64);
    Parameter& v = parameters.declare("v", {1, 1});
    Parameter& w = parameters.declare("w", {1, 1});
    parameters.allocate();
    *v.value.as<double>() = 6.0;
    *w.value.as<double>() = 4.0;
    double input = 0.5, one = 1.0;
    Arena arena;
    fmt::print("1. By hand: x = 0.5, v = 6, w = 4, h = x v, y = h w + h\n");
    for (int pass = 1; pass <= 2; ++pass) {
        Tape tape(arena);
        const Var h = linear(tape, tape.constant({&input, {1, 1}, DType::float64}), tape.parameter(v));
        const Var y = add(tape, linear(tape, h, tape.parameter(w)), h);
        fmt::print("   pass {}: y = {}", pass, *y.value().as<double>());
        tape.backward(y, Tensor(&one, {1, 1}, DType::float64));
        fmt::print("   dy/dw = {}   dy/dv = {}\n", *w.gradient.as<double>(), *v.gradient.as<double>());
    }
    fmt::print("   (the second pass added to the gradients of the first: nobody called zero_gradients)\n");
}

/// A layer with GELU and its weight; the objective is the sum of the outputs, each times a fixed number of its own.
struct SmallLayer {
    Parameters parameters{DType::float64};
    Parameter& weight = parameters.declare("weight", {3, 4});
    Parameter& bias = parameters.declare("bias", {3});
    Values x = random_values(8, 1), factors = random_values(6, 2);
    Arena arena;

    SmallLayer() {
        parameters.allocate();
        parameters.initialize(7, 0.5);
    }
    Var forward(Tape& tape) {
        return linear_gelu(tape, tape.constant(view(x, {2, 4})), tape.parameter(weight), tape.parameter(bias));
    }
    void backward() {
        Tape tape(arena);
        const Var y = forward(tape);
        tape.backward(y, view(factors, {2, 3}));
    }
    double objective_at(double& value, double moved_to) {
        const double kept = std::exchange(value, moved_to);
        Tape tape(arena);
        tape.set_recording(false);
        const double* const y = forward(tape).value().as<double>();
        value = kept;
        return dot(factors, Values(y, y + factors.size()));
    }
};

void compare_with_differences(SmallLayer& layer) {
    layer.backward();
    double& w = *layer.parameters.values().as<double>();
    const double exact = *layer.parameters.gradients().as<double>(), at = w;
    fmt::print("\n2. Relative error of a difference quotient for one weight, by step h\n");
    fmt::print("   {:>8} {:>10} {:>10}\n", "h", "one-sided", "central");
    for (double h = 1e-1; h > 1e-13; h /= 10) {
        const double above = layer.objective_at(w, at + h), below = layer.objective_at(w, at - h);
        const double middle = layer.objective_at(w, at);
        fmt::print("   {:8.0e} {:10.1e} {:10.1e}\n", h, std::abs((above - middle) / h / exact - 1),
                   std::abs((above - below) / (2 * h) / exact - 1));
    }
}

void count_requests() {
    SmallLayer layer;
    fmt::print("\n3. Memory asked of the system, in requests so far:");
    for (int step = 1; step <= 4; ++step) {
        layer.backward();
        fmt::print("  step {}: {}", step, layer.arena.growths());
    }
    fmt::print("\n");
}

}  // namespace
}  // namespace locus::learn

int main() {
    omp_set_num_threads(1);  // a few numbers need no team of threads
    locus::learn::follow_by_hand();
    locus::learn::SmallLayer layer;
    locus::learn::compare_with_differences(layer);
    locus::learn::count_requests();
}
