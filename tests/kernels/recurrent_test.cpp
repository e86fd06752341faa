#include "kernels/recurrent.h"

#include <cmath>
#include <stdexcept>

#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

constexpr std::int64_t states = 5;

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

// Four sequences, one of them empty; the products of the input stand in the middle columns of a wider matrix.
struct Problem {
    Problem(Cell kind, DType dtype, bool backwards = false)
        : cell(kind),
          reverse(backwards),
          width(gates_of(kind) * states),
          wide(normals({11, width + 4}, dtype, 1)),
          weight(normals({width, states}, dtype, 2, 0.5)),
          bias(normals({width}, dtype, 3)),
          start(normals({states}, dtype, 4)),
          h({11, states}, dtype),
          before({11, states}, dtype),
          gates({11, width}, dtype),
          memory({11, states}, dtype) {}

    Tensor x() const { return wide.tensor().slice(1, 2, 2 + width); }
    void forward() {
        recurrent_forward({.cell = cell,
                           .x = x(),
                           .weight = weight,
                           .bias = bias,
                           .start = start,
                           .rows = {offsets, positions},
                           .reverse = reverse,
                           .h = h,
                           .before = before,
                           .gates = gates,
                           .memory = memory});
    }

    Cell cell;
    bool reverse;
    std::int64_t width;
    Owned wide, weight, bias, start, h, before, gates, memory;
    Owned offsets = int32s({0, 3, 3, 10, 11}), positions = int32s({0, 1, 2, 0, 1, 2, 3, 4, 5, 6, 0});
};

// The formulas of the header, one sequence and one number at a time.
Owned reference(const Problem& p) {
    Owned h({11, states}, DType::float64);
    for (std::int64_t s = 0; s < 4; ++s) {
        std::vector<double> state(states), memory(states, 0.0);
        for (std::int64_t c = 0; c < states; ++c) state[static_cast<std::size_t>(c)] = p.start.get(c);
        const auto begin = static_cast<std::int64_t>(p.offsets.get(s)),
                   end = static_cast<std::int64_t>(p.offsets.get(s + 1));
        for (std::int64_t t = 0; t < end - begin; ++t) {
            const std::int64_t r = p.reverse ? end - 1 - t : begin + t;
            const std::vector<double> old = state;
            for (std::int64_t c = 0; c < states; ++c) {
                const auto x = [&](std::int64_t gate) { return p.wide.get(r, 2 + gate * states + c); };
                const auto u = [&](std::int64_t gate) {
                    double sum = p.bias.get(gate * states + c);
                    for (std::int64_t k = 0; k < states; ++k)
                        sum += p.weight.get(gate * states + c, k) * old[static_cast<std::size_t>(k)];
                    return sum;
                };
                double &now = state[static_cast<std::size_t>(c)], &kept = memory[static_cast<std::size_t>(c)];
                if (p.cell == Cell::tanh) now = std::tanh(x(0) + u(0));
                if (p.cell == Cell::gru) {
                    const double z = logistic(x(1) + u(1)), n = std::tanh(x(2) + logistic(x(0) + u(0)) * u(2));
                    now = (1 - z) * n + z * old[static_cast<std::size_t>(c)];
                }
                if (p.cell == Cell::lstm) {
                    kept = logistic(x(1) + u(1)) * kept + logistic(x(0) + u(0)) * std::tanh(x(2) + u(2));
                    now = logistic(x(3) + u(3)) * std::tanh(kept);
                }
                h.set(r * states + c, now);
            }
        }
    }
    return h;
}

TEST(Recurrent, EveryCellAgreesWithItsFormulaInBothDirections) {
    for (DType dtype : {DType::float32, DType::float64}) {
        for (Cell cell : {Cell::tanh, Cell::gru, Cell::lstm}) {
            for (const bool reverse : {false, true}) {
                Problem problem(cell, dtype, reverse);
                problem.forward();
                EXPECT_TRUE(close("h", converted(problem.h, DType::float64), reference(problem), 0.0,
                                  dtype == DType::float32 ? 2e-6 : 1e-14));
            }
        }
    }
}

TEST(Recurrent, GradientsThroughTimeMatchDifferences) {
    for (Cell cell : {Cell::tanh, Cell::gru, Cell::lstm}) {
        for (const bool reverse : {false, true}) {
            Problem p(cell, DType::float64, reverse);
            const Owned dy = normals({11, states}, DType::float64, 5);
            Owned dwide = zeros(p.wide.shape(), DType::float64), dweight = zeros(p.weight.shape(), DType::float64);
            Owned dbias = zeros(p.bias.shape(), DType::float64), dstart = zeros(p.start.shape(), DType::float64);
            Arena arena;
            const auto loss = [&] {
                p.forward();
                double sum =
                    0;  // the columns beside x take part by themselves, so that their differences do not vanish
                for (std::int64_t r = 0; r < 11; ++r) {
                    for (const std::int64_t c : {std::int64_t{0}, std::int64_t{1}, p.width + 2, p.width + 3})
                        sum += p.wide.get(r, c);
                }
                return sum + dot(dy, p.h);
            };
            loss();
            for (std::int64_t i = 0; i < dwide.count(); ++i) dwide.set(i, 1.0);
            recurrent_backward({.cell = cell,
                                .dy = dy,
                                .weight = p.weight,
                                .rows = {p.offsets, p.positions},
                                .reverse = reverse,
                                .before = p.before,
                                .gates = p.gates,
                                .memory = p.memory,
                                .dx = dwide.tensor().slice(1, 2, 2 + p.width),
                                .dweight = dweight,
                                .dbias = dbias,
                                .dstart = dstart,
                                .arena = &arena});
            GradientCheck check(loss);
            check.input("x", p.wide, dwide).input("weight", p.weight, dweight);
            check.input("bias", p.bias, dbias).input("start", p.start, dstart);
            EXPECT_TRUE(check.run());
        }
    }
}

TEST(Recurrent, GradientsAddUpAndAreTheSameForAnyNumberOfThreads) {
    const Owned dy = normals({11, states}, DType::float32, 5);
    const auto run = [&](int threads, Owned& dweight) {
        const Threads set(threads);
        Problem p(Cell::gru, DType::float32);
        p.forward();
        Owned dx = filled({11, p.width}, DType::float32, 1.0), dbias = zeros({p.width}, DType::float32);
        Arena arena;
        recurrent_backward({.cell = p.cell,
                            .dy = dy,
                            .weight = p.weight,
                            .rows = {p.offsets, p.positions},
                            .before = p.before,
                            .gates = p.gates,
                            .memory = p.memory,
                            .dx = dx,
                            .accumulate = true,
                            .dweight = dweight,
                            .dbias = dbias,
                            .arena = &arena});
        return dx;
    };
    Owned once = zeros({15, states}, DType::float32), twice = once;
    const Owned one = run(1, once), three = run(3, twice);
    EXPECT_TRUE(identical("dx", one, three));
    EXPECT_TRUE(identical("dweight", once, twice));
    Owned doubled = once;
    run(1, twice);
    for (std::int64_t i = 0; i < doubled.count(); ++i) doubled.set(i, 2 * once.get(i));
    EXPECT_TRUE(close("dweight", twice, doubled, 0.0, 1e-6));
}

TEST(Recurrent, BrokenContractsAreNamed) {
    Problem problem(Cell::gru, DType::float32);
    problem.cell = Cell::lstm;
    EXPECT_THROW(problem.forward(), std::logic_error);
    problem = Problem(Cell::gru, DType::float32);
    problem.offsets = int32s({0, 3, 10});
    EXPECT_THROW(problem.forward(), std::logic_error);
}

}  // namespace
}  // namespace locus::test
