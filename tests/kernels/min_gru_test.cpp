#include "kernels/min_gru.h"

#include <cmath>
#include <stdexcept>

#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

// Wider than one block of channels, three sequences, one of them empty; the halves stand in the middle of a wider matrix.
constexpr std::int64_t rows = 9, channels = 67;
const std::vector<std::int32_t> offsets = {0, 4, 4, 9};

struct Problem {
    explicit Problem(DType dtype) : wide(normals({rows, 2 * channels + 3}, dtype, 1)), h({rows, channels}, dtype) {}
    Tensor x() const { return wide.tensor().slice(1, 1, 1 + 2 * channels); }
    AttentionRows batch() const { return {ends, counted}; }
    void forward(bool reverse) { min_gru_forward({.x = x(), .rows = batch(), .reverse = reverse, .h = h}); }
    Owned wide, h, ends = int32s(offsets), counted = counting(rows);
};

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

TEST(MinGru, AgreesWithItsFormulaInBothDirections) {
    for (DType dtype : {DType::float32, DType::float64}) {
        for (const bool reverse : {false, true}) {
            Problem problem(dtype);
            problem.forward(reverse);
            Owned expected({rows, channels}, DType::float64);
            for (std::size_t s = 0; s + 1 < offsets.size(); ++s) {
                for (std::int64_t c = 0; c < channels; ++c) {
                    double state = 0;
                    for (std::int64_t t = 0; t < offsets[s + 1] - offsets[s]; ++t) {
                        const std::int64_t r = reverse ? offsets[s + 1] - 1 - t : offsets[s] + t;
                        const double z = logistic(problem.wide.get(r, 1 + c)),
                                     v = problem.wide.get(r, 1 + channels + c);
                        state = (1 - z) * state + z * (v >= 0 ? v + 0.5 : logistic(v));
                        expected.set(r * channels + c, state);
                    }
                }
            }
            EXPECT_TRUE(close("h", converted(problem.h, DType::float64), expected, 0.0,
                              dtype == DType::float32 ? 1e-6 : 1e-14));
        }
    }
}

TEST(MinGru, GradientsMatchDifferences) {
    for (const bool reverse : {false, true}) {
        Problem p(DType::float64);
        const Owned dh = normals({rows, channels}, DType::float64, 2);
        Owned dwide = filled(p.wide.shape(), DType::float64, 1.0);
        const auto loss = [&] {
            p.forward(reverse);
            double beside = 0;  // the columns beside x, which the kernel must leave alone
            for (std::int64_t r = 0; r < rows; ++r)
                beside += p.wide.get(r, 0) + p.wide.get(r, 2 * channels + 1) + p.wide.get(r, 2 * channels + 2);
            return beside + dot(dh, p.h);
        };
        loss();
        min_gru_backward({.dh = dh,
                          .x = p.x(),
                          .h = p.h,
                          .rows = p.batch(),
                          .reverse = reverse,
                          .dx = dwide.tensor().slice(1, 1, 1 + 2 * channels)});
        EXPECT_TRUE(GradientCheck(loss).input("x", p.wide, dwide).step(1e-5).tolerance(1e-6).run());
    }
}

// Both passes over columns of wider matrices. Sequences longer than the pieces that a GPU cuts them into, shorter, and empty.
struct Solved {
    explicit Solved(bool reverse, bool accumulate) {
        const Owned ends = int32s({0, 4, 4, 63, 64, 96}), x = normals({96, 2 * channels + 3}, DType::float32, 1);
        const Owned dh = normals({96, channels + 4}, DType::float32, 2);
        const auto part = [](const Owned& whole, std::int64_t columns) {
            return whole.tensor().slice(1, 2, 2 + columns);
        };
        min_gru_forward({.x = part(x, 2 * channels), .rows = {ends, ends}, .reverse = reverse, .h = part(h, channels)});
        min_gru_backward({.dh = part(dh, channels),
                          .x = part(x, 2 * channels),
                          .h = part(h, channels),
                          .rows = {ends, ends},
                          .reverse = reverse,
                          .dx = part(dx, 2 * channels),
                          .accumulate = accumulate});
    }
    Owned h = normals({96, channels + 2}, DType::float32, 3), dx = normals({96, 2 * channels + 5}, DType::float32, 4);
};

TEST(MinGru, GivesOnAGpuWhatItGivesOnTheProcessor) {
    for (const bool reverse : {false, true}) {
        for (const bool accumulate : {false, true}) {
            const Solved expected(reverse, accumulate);
            on_each_gpu([&] {
                const Solved got(reverse, accumulate);
                EXPECT_TRUE(close("h", got.h, expected.h, 0.0, 1e-6));
                EXPECT_TRUE(close("dx", got.dx, expected.dx, 0.0, 2e-6));
            });
        }
    }
}

TEST(MinGru, OfNoRowsDoesNothingOnAGpu) {
    on_each_gpu([] {
        const Owned ends = int32s({0, 0}), x({0, 6}, DType::float32), h({0, 3}, DType::float32);
        min_gru_forward({.x = x, .rows = {ends, ends}, .h = h});
        min_gru_backward({.dh = h, .x = x, .h = h, .rows = {ends, ends}, .dx = x});
    });
}

TEST(MinGru, AddsWhenAskedAndBrokenContractsAreNamed) {
    Problem p(DType::float32);
    p.forward(false);
    const Owned dh = normals({rows, channels}, DType::float32, 2);
    Owned once({rows, 2 * channels}, DType::float32), more = filled({rows, 2 * channels}, DType::float32, 1.0);
    MinGruBackward args = {.dh = dh, .x = p.x(), .h = p.h, .rows = p.batch(), .dx = once};
    min_gru_backward(args);
    args.dx = more;
    args.accumulate = true;
    min_gru_backward(args);
    for (std::int64_t i = 0; i < once.count(); ++i) ASSERT_NEAR(more.get(i), 1.0 + once.get(i), 1e-6);
    args.dx = p.h;
    EXPECT_THROW(min_gru_backward(args), std::logic_error);
    EXPECT_THROW(min_gru_forward({.x = p.h, .rows = p.batch(), .h = p.h}), std::logic_error);
}

}  // namespace
}  // namespace locus::test
