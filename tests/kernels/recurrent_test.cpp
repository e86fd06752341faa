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

// Both passes, with a learned start or from zeros.
struct Solved {
    Solved(Cell cell, bool reverse, bool with_start, bool accumulate) : p(cell, DType::float32, reverse) {
        const auto middle = [&](const Owned& whole) { return whole.tensor().slice(1, 1, 1 + states); };
        const Owned dy = normals({11, states + 2}, DType::float32, 6);
        const AttentionRows rows = {p.offsets, p.positions};
        Arena arena(OnDevice::current());
        recurrent_forward({.cell = cell,
                           .x = p.x(),
                           .weight = p.weight,
                           .bias = p.bias,
                           .start = with_start ? p.start.tensor() : Tensor(),
                           .rows = rows,
                           .reverse = reverse,
                           .h = middle(h),
                           .before = p.before,
                           .gates = p.gates,
                           .memory = p.memory});
        recurrent_backward({.cell = cell,
                            .dy = middle(dy),
                            .weight = p.weight,
                            .rows = rows,
                            .reverse = reverse,
                            .before = p.before,
                            .gates = p.gates,
                            .memory = p.memory,
                            .dx = dwide.tensor().slice(1, 2, 2 + p.width),
                            .accumulate = accumulate,
                            .dweight = dweight,
                            .dbias = dbias,
                            .dstart = with_start ? dstart.tensor() : Tensor(),
                            .arena = &arena});
    }
    Problem p;
    Owned h = normals({11, states + 3}, DType::float32, 7), dwide = normals(p.wide.shape(), DType::float32, 8),
          dweight = normals(p.weight.shape(), DType::float32, 9), dbias = normals(p.bias.shape(), DType::float32, 10),
          dstart = normals(p.start.shape(), DType::float32, 11);
};

TEST(Recurrent, GivesOnAGpuWhatItGivesOnTheProcessor) {
    for (Cell cell : {Cell::tanh, Cell::gru, Cell::lstm}) {
        for (const bool reverse : {false, true}) {
            for (const bool flag : {false, true}) {
                const Solved expected(cell, reverse, flag, !flag);
                on_each_gpu([&] {
                    const Solved got(cell, reverse, flag, !flag);
                    EXPECT_TRUE(close("h", got.h, expected.h, 0.0, 1e-6));
                    EXPECT_TRUE(close("dx", got.dwide, expected.dwide, 0.0, 2e-6));
                    EXPECT_TRUE(close("dweight", got.dweight, expected.dweight, 0.0, 2e-6));
                    EXPECT_TRUE(close("dbias", got.dbias, expected.dbias, 0.0, 2e-6));
                    EXPECT_TRUE(close("dstart", got.dstart, expected.dstart, 0.0, 2e-6));
                });
            }
        }
    }
}

// More states than a block has warps, and than a warp has threads.
TEST(Recurrent, OfManyStatesGivesOnAGpuWhatItGivesOnTheProcessor) {
    constexpr std::int64_t many = 43, rows = 3;
    struct Wide {
        Wide() {
            const Owned x = normals({rows, 4 * many}, DType::float32, 1),
                        weight = normals({4 * many, many}, DType::float32, 2, 0.2);
            const Owned ends = int32s({0, 2, rows}), dy = normals({rows, many}, DType::float32, 4);
            Owned before({rows, many}, DType::float32), gates({rows, 4 * many}, DType::float32), memory = before;
            Arena arena(OnDevice::current());
            recurrent_forward({.cell = Cell::lstm,
                               .x = x,
                               .weight = weight,
                               .bias = normals({4 * many}, DType::float32, 3),
                               .rows = {ends, ends},
                               .h = h,
                               .before = before,
                               .gates = gates,
                               .memory = memory});
            recurrent_backward({.cell = Cell::lstm,
                                .dy = dy,
                                .weight = weight,
                                .rows = {ends, ends},
                                .before = before,
                                .gates = gates,
                                .memory = memory,
                                .dx = dx,
                                .dweight = dweight,
                                .dbias = dbias,
                                .arena = &arena});
        }
        Owned h = zeros({rows, many}, DType::float32), dx = zeros({rows, 4 * many}, DType::float32),
              dweight = zeros({4 * many, many}, DType::float32), dbias = zeros({4 * many}, DType::float32);
    };
    const Wide expected;
    on_each_gpu([&] {
        const Wide got;
        EXPECT_TRUE(close("h", got.h, expected.h, 0.0, 1e-6));
        EXPECT_TRUE(close("dx", got.dx, expected.dx, 0.0, 2e-6));
        EXPECT_TRUE(close("dweight", got.dweight, expected.dweight, 0.0, 2e-6));
        EXPECT_TRUE(close("dbias", got.dbias, expected.dbias, 0.0, 2e-6));
    });
}

TEST(Recurrent, OfNoRowsLeavesTheGradientsOnAGpu) {
    on_each_gpu([] {
        const Owned x({0, states}, DType::float32), weight = normals({states, states}, DType::float32, 1),
                                                    bias = normals({states}, DType::float32, 2), ends = int32s({0, 0});
        const Owned dweight = weight, dbias = bias, dstart = bias;
        Arena arena(OnDevice::current());
        recurrent_forward({.cell = Cell::tanh,
                           .x = x,
                           .weight = weight,
                           .bias = bias,
                           .rows = {ends, ends},
                           .h = x,
                           .before = x,
                           .gates = x,
                           .memory = x});
        recurrent_backward({.cell = Cell::tanh,
                            .dy = x,
                            .weight = weight,
                            .rows = {ends, ends},
                            .before = x,
                            .gates = x,
                            .memory = x,
                            .dx = x,
                            .dweight = dweight,
                            .dbias = dbias,
                            .dstart = dstart,
                            .arena = &arena});
        EXPECT_TRUE(identical("dweight", dweight, weight));
        EXPECT_TRUE(identical("dbias", dbias, bias));
        EXPECT_TRUE(identical("dstart", dstart, bias));
    });
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
