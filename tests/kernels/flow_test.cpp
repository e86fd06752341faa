#include "kernels/flow.h"

#include <cmath>
#include <stdexcept>

#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

constexpr std::int64_t columns = 5, width = 4;

struct Network {
    explicit Network(DType dtype)
        : in(normals({width, columns}, dtype, 1, 0.5)),
          time(normals({width}, dtype, 2)),
          in_bias(normals({width}, dtype, 3)),
          out(normals({columns, width}, dtype, 4, 0.5)),
          out_bias(normals({columns}, dtype, 5)) {}
    FlowNetwork tensors() const { return {in, time, in_bias, out, out_bias}; }
    std::vector<double> at(const std::vector<double>& p, double t) const {
        std::vector<double> k;
        for (std::int64_t c = 0; c < columns; ++c) {
            double sum = out_bias.get(c);
            for (std::int64_t m = 0; m < width; ++m) {
                double inner = in_bias.get(m) + t * time.get(m);
                for (std::int64_t i = 0; i < columns; ++i) inner += in.get(m, i) * p[static_cast<std::size_t>(i)];
                sum += out.get(c, m) * std::tanh(inner);
            }
            k.push_back(sum);
        }
        return k;
    }
    Owned in, time, in_bias, out, out_bias;
};

struct Problem {
    Problem(DType dtype, FlowSteps how, std::int64_t count)
        : network(dtype),
          steps(how),
          start(normals({columns}, dtype, 6)),
          points({count, columns}, dtype),
          asked({how.evaluations(count), columns}, dtype),
          tanh({how.evaluations(count), width}, dtype) {}
    void forward() {
        flow_forward({.network = network.tensors(),
                      .steps = steps,
                      .start = start,
                      .points = points,
                      .asked = asked,
                      .tanh = tanh,
                      .arena = &arena});
    }
    Network network;
    FlowSteps steps;
    Owned start, points, asked, tanh;
    Arena arena{OnDevice::current()};
};

std::vector<double> moved(const std::vector<double>& p, double by, const std::vector<double>& k) {
    std::vector<double> q = p;
    for (std::size_t c = 0; c < q.size(); ++c) q[c] += by * k[c];
    return q;
}

TEST(Flow, TakesTheStepsOfItsFormulas) {
    for (DType dtype : {DType::float32, DType::float64}) {
        for (Solver solver : {Solver::euler, Solver::rk4}) {
            Problem problem(dtype, {solver, 0.6, 2}, 4);
            problem.forward();
            Owned expected({4, columns}, DType::float64);
            std::vector<double> p;
            for (std::int64_t c = 0; c < columns; ++c) p.push_back(problem.start.get(c));
            const Network& g = problem.network;
            const double h = 0.3;
            for (int step = 0; step <= 6; ++step) {
                for (std::int64_t c = 0; step % 2 == 0 && c < columns; ++c)
                    expected.set(step / 2 * columns + c, p[static_cast<std::size_t>(c)]);
                const double t = step * h;
                const auto k1 = g.at(p, t);
                if (solver == Solver::euler) {
                    p = moved(p, h, k1);
                    continue;
                }
                const auto k2 = g.at(moved(p, h / 2, k1), t + h / 2), k3 = g.at(moved(p, h / 2, k2), t + h / 2);
                const auto k4 = g.at(moved(p, h, k3), t + h);
                p = moved(moved(moved(moved(p, h / 6, k1), h / 3, k2), h / 3, k3), h / 6, k4);
            }
            EXPECT_TRUE(close("points", converted(problem.points, DType::float64), expected, 0.0,
                              dtype == DType::float32 ? 1e-6 : 1e-14));
        }
    }
}

// Halving the step divides the error by 2 and by 16.
TEST(Flow, ConvergesAtTheOrderOfItsSolver) {
    const auto last = [](Solver solver, std::int64_t steps) {
        Problem problem(DType::float64, {solver, 1.0, steps}, 3);
        problem.forward();
        return problem.points;
    };
    const Owned exact = last(Solver::rk4, 1024);
    const auto error = [&](const Owned& points) {
        double sum = 0;
        for (std::int64_t c = 0; c < columns; ++c) sum += std::abs(points.get(2, c) - exact.get(2, c));
        return sum;
    };
    for (const auto& [solver, order] : {std::pair{Solver::euler, 1.0}, std::pair{Solver::rk4, 4.0}}) {
        EXPECT_NEAR(std::log2(error(last(solver, 64)) / error(last(solver, 128))), order, 0.1);
    }
}

TEST(Flow, GradientsAreThoseOfTheStepsAndAddUp) {
    for (Solver solver : {Solver::euler, Solver::rk4}) {
        Problem p(DType::float64, {solver, 0.6, 2}, 4);
        const Owned dpoints = normals({4, columns}, DType::float64, 7);
        const auto loss = [&] {
            p.forward();
            return dot(dpoints, p.points);
        };
        loss();
        Network d(DType::float64);
        for (Owned* gradient : {&d.in, &d.time, &d.in_bias, &d.out, &d.out_bias})
            *gradient = zeros(gradient->shape(), DType::float64);
        Owned dstart = zeros({columns}, DType::float64);
        const FlowBackward args = {.network = p.network.tensors(),
                                   .steps = p.steps,
                                   .dpoints = dpoints,
                                   .asked = p.asked,
                                   .tanh = p.tanh,
                                   .dnetwork = d.tensors(),
                                   .dstart = dstart,
                                   .arena = &p.arena};
        flow_backward(args);
        GradientCheck check(loss);
        check.input("start", p.start, dstart).input("in", p.network.in, d.in).input("time", p.network.time, d.time);
        check.input("in_bias", p.network.in_bias, d.in_bias).input("out", p.network.out, d.out);
        EXPECT_TRUE(check.input("out_bias", p.network.out_bias, d.out_bias).run());
        loss();  // the differences left the values of a neighbour behind
        const double before = d.in.get(3), start = dstart.get(2);
        flow_backward(args);
        EXPECT_NEAR(d.in.get(3), 2 * before, 1e-12);
        EXPECT_NEAR(dstart.get(2), 2 * start, 1e-12);
    }
}

// Both passes, with and without the time, adding to gradients that are not 0.
struct Solved {
    Solved(FlowSteps steps, std::int64_t count, bool with_time) : p(DType::float32, steps, count), d(DType::float32) {
        const Owned dpoints = normals({count, columns}, DType::float32, 7);
        const auto tensors = [with_time](const Network& network) {
            FlowNetwork all = network.tensors();
            if (!with_time) all.time_weight = {};
            return all;
        };
        flow_forward({.network = tensors(p.network),
                      .steps = steps,
                      .start = p.start,
                      .points = p.points,
                      .asked = p.asked,
                      .tanh = p.tanh,
                      .arena = &p.arena});
        flow_backward({.network = tensors(p.network),
                       .steps = steps,
                       .dpoints = dpoints,
                       .asked = p.asked,
                       .tanh = p.tanh,
                       .dnetwork = tensors(d),
                       .dstart = dstart,
                       .arena = &p.arena});
    }
    Problem p;
    Network d;
    Owned dstart = normals({columns}, DType::float32, 8);
};

TEST(Flow, GivesOnAGpuWhatItGivesOnTheProcessor) {
    for (const FlowSteps& steps : {FlowSteps{Solver::euler, 0.6, 1}, FlowSteps{Solver::euler, 0.6, 3},
                                   FlowSteps{Solver::rk4, 1.0, 1}, FlowSteps{Solver::rk4, 0.6, 2}}) {
        for (const std::int64_t count : {1, 2, 5}) {
            const bool with_time = count != 2;
            const Solved expected(steps, count, with_time);
            on_each_gpu([&] {
                const Solved got(steps, count, with_time);
                EXPECT_TRUE(close("points", got.p.points, expected.p.points, 0.0, 1e-6));
                EXPECT_TRUE(close("dstart", got.dstart, expected.dstart, 0.0, 2e-6));
                EXPECT_TRUE(close("in", got.d.in, expected.d.in, 0.0, 2e-6));
                EXPECT_TRUE(close("time", got.d.time, expected.d.time, 0.0, 2e-6));
                EXPECT_TRUE(close("in_bias", got.d.in_bias, expected.d.in_bias, 0.0, 2e-6));
                EXPECT_TRUE(close("out", got.d.out, expected.d.out, 0.0, 2e-6));
                EXPECT_TRUE(close("out_bias", got.d.out_bias, expected.d.out_bias, 0.0, 2e-6));
                if (count == 1) return;
                EXPECT_TRUE(close("asked", got.p.asked, expected.p.asked, 0.0, 1e-6));
                EXPECT_TRUE(close("tanh", got.p.tanh, expected.p.tanh, 0.0, 1e-6));
            });
        }
    }
}

TEST(Flow, OfOnePointIsTheStartAndBrokenContractsAreNamed) {
    Problem one(DType::float32, {Solver::rk4, 1.0, 1}, 1);
    one.forward();
    EXPECT_EQ(one.points.get(0), one.start.get(0));
    Problem wrong(DType::float32, {Solver::rk4, 1.0, 1}, 4);
    wrong.steps.steps = 2;
    EXPECT_THROW(wrong.forward(), std::logic_error);
}

}  // namespace
}  // namespace locus::test
