#include "kernels/lru.h"

#include <cmath>
#include <complex>
#include <stdexcept>

#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

// More numbers than one block, three sequences, one of them empty; the states' inputs stand in a wider matrix.
constexpr std::int64_t rows = 9, numbers = 66;
const std::vector<std::int32_t> offsets = {0, 4, 4, 9};

struct Problem {
    explicit Problem(DType dtype)
        : wide(normals({rows, 2 * numbers + 1}, dtype, 1)),
          nu(normals({numbers}, dtype, 2)),
          phi(normals({numbers}, dtype, 3)),
          log_c(normals({numbers}, dtype, 4)),
          s({rows, 2 * numbers}, dtype) {}
    Tensor u() const { return wide.tensor().slice(1, 0, 2 * numbers); }
    AttentionRows batch() const { return {ends, counted}; }
    void forward(bool reverse) {
        lru_forward({.u = u(), .nu = nu, .phi = phi, .log_c = log_c, .rows = batch(), .reverse = reverse, .s = s});
    }
    Owned wide, nu, phi, log_c, s, ends = int32s(offsets), counted = counting(rows);
};

TEST(Lru, IsComplexNumbersTurnedAndShrunk) {
    for (DType dtype : {DType::float32, DType::float64}) {
        for (const bool reverse : {false, true}) {
            Problem p(dtype);
            p.forward(reverse);
            Owned expected({rows, 2 * numbers}, DType::float64);
            for (std::size_t n = 0; n + 1 < offsets.size(); ++n) {
                for (std::int64_t m = 0; m < numbers; ++m) {
                    const std::complex<double> l =
                        std::exp(std::complex<double>(-std::exp(p.nu.get(m)), std::exp(p.phi.get(m))));
                    std::complex<double> state = 0;
                    for (std::int64_t t = 0; t < offsets[n + 1] - offsets[n]; ++t) {
                        const std::int64_t r = reverse ? offsets[n + 1] - 1 - t : offsets[n] + t;
                        const std::complex<double> u(p.wide.get(r, m), p.wide.get(r, numbers + m));
                        state = l * state + std::exp(p.log_c.get(m)) * u;
                        expected.set(r * 2 * numbers + m, state.real());
                        expected.set(r * 2 * numbers + numbers + m, state.imag());
                    }
                }
            }
            EXPECT_TRUE(
                close("s", converted(p.s, DType::float64), expected, 0.0, dtype == DType::float32 ? 1e-6 : 1e-14));
        }
    }
}

struct Gradients {
    explicit Gradients(DType dtype)
        : wide(filled({rows, 2 * numbers + 1}, dtype, 1.0)),
          nu(zeros({numbers}, dtype)),
          phi(zeros({numbers}, dtype)),
          log_c(zeros({numbers}, dtype)) {}
    void add(const Problem& p, const Owned& ds, bool reverse, bool accumulate) {
        lru_backward({.ds = ds,
                      .u = p.u(),
                      .nu = p.nu,
                      .phi = p.phi,
                      .log_c = p.log_c,
                      .s = p.s,
                      .rows = p.batch(),
                      .reverse = reverse,
                      .du = wide.tensor().slice(1, 0, 2 * numbers),
                      .accumulate = accumulate,
                      .dnu = nu,
                      .dphi = phi,
                      .dlog_c = log_c,
                      .arena = &arena});
    }
    Owned wide, nu, phi, log_c;
    Arena arena;
};

TEST(Lru, GradientsMatchDifferences) {
    for (const bool reverse : {false, true}) {
        Problem p(DType::float64);
        const Owned ds = normals({rows, 2 * numbers}, DType::float64, 5);
        const auto loss = [&] {
            p.forward(reverse);
            double beside = 0;
            for (std::int64_t r = 0; r < rows; ++r) beside += p.wide.get(r, 2 * numbers);
            return beside + dot(ds, p.s);
        };
        loss();
        Gradients d(DType::float64);
        d.add(p, ds, reverse, false);
        GradientCheck check(loss);
        check.input("u", p.wide, d.wide).input("nu", p.nu, d.nu).input("phi", p.phi, d.phi);
        EXPECT_TRUE(check.input("log_c", p.log_c, d.log_c).run());
    }
}

TEST(Lru, GradientsAddUpAndAreTheSameForAnyNumberOfThreads) {
    Problem p(DType::float32);
    p.forward(false);
    const Owned ds = normals({rows, 2 * numbers}, DType::float32, 5);
    Gradients one(DType::float32), three(DType::float32);
    {
        const Threads set(1);
        one.add(p, ds, false, true);
    }
    {
        const Threads set(3);
        three.add(p, ds, false, true);
    }
    EXPECT_TRUE(identical("du", one.wide, three.wide));
    EXPECT_TRUE(identical("dnu", one.nu, three.nu));
    three.add(p, ds, false, true);
    for (std::int64_t m = 0; m < numbers; ++m) EXPECT_NEAR(three.phi.get(m), 2 * one.phi.get(m), 1e-4);
    EXPECT_NEAR(three.wide.get(0) - one.wide.get(0), one.wide.get(0) - 1.0, 1e-5);
}

// Both passes over columns of wider matrices. Sequences longer than the pieces that a GPU cuts them into, shorter, and empty; or no rows at all.
struct Solved {
    explicit Solved(bool reverse, bool accumulate, const std::vector<std::int32_t>& offsets_of_rows)
        : s(normals({offsets_of_rows.back(), 2 * numbers + 2}, DType::float32, 6)),
          du(normals({offsets_of_rows.back(), 2 * numbers + 3}, DType::float32, 7)) {
        const std::int64_t count = offsets_of_rows.back();
        const Owned ends = int32s(offsets_of_rows), u = normals({count, 2 * numbers + 1}, DType::float32, 1);
        // Slow to fade, so that what is wrong early shows late.
        const Owned nu = normals({numbers}, DType::float32, 2, 2.0), phi = normals({numbers}, DType::float32, 3);
        const Owned log_c = normals({numbers}, DType::float32, 4),
                    ds = normals({count, 2 * numbers + 2}, DType::float32, 5);
        const auto part = [](const Owned& whole) { return whole.tensor().slice(1, 1, 1 + 2 * numbers); };
        Arena arena(OnDevice::current());
        lru_forward({.u = part(u),
                     .nu = nu,
                     .phi = phi,
                     .log_c = log_c,
                     .rows = {ends, ends},
                     .reverse = reverse,
                     .s = part(s)});
        lru_backward({.ds = part(ds),
                      .u = part(u),
                      .nu = nu,
                      .phi = phi,
                      .log_c = log_c,
                      .s = part(s),
                      .rows = {ends, ends},
                      .reverse = reverse,
                      .du = part(du),
                      .accumulate = accumulate,
                      .dnu = dnu,
                      .dphi = dphi,
                      .dlog_c = dlog_c,
                      .arena = &arena});
    }
    Owned s, du;
    Owned dnu = normals({numbers}, DType::float32, 8), dphi = normals({numbers}, DType::float32, 9),
          dlog_c = normals({numbers}, DType::float32, 10);
};

TEST(Lru, GivesOnAGpuWhatItGivesOnTheProcessor) {
    const std::vector<std::int32_t> ends = {0, 4, 4, 63, 64, 96};
    for (const bool reverse : {false, true}) {
        for (const bool accumulate : {false, true}) {
            const Solved expected(reverse, accumulate, ends);
            on_each_gpu([&] {
                const Solved got(reverse, accumulate, ends);
                EXPECT_TRUE(close("s", got.s, expected.s, 0.0, 2e-6));
                EXPECT_TRUE(close("du", got.du, expected.du, 0.0, 2e-6));
                EXPECT_TRUE(close("dnu", got.dnu, expected.dnu, 0.0, 5e-6));
                EXPECT_TRUE(close("dphi", got.dphi, expected.dphi, 0.0, 5e-6));
                EXPECT_TRUE(close("dlog_c", got.dlog_c, expected.dlog_c, 0.0, 5e-6));
            });
        }
    }
}

TEST(Lru, OfNoRowsLeavesTheGradientsOnAGpu) {
    on_each_gpu([] {
        const Solved got(false, false, {0, 0});
        EXPECT_TRUE(identical("dnu", got.dnu, normals({numbers}, DType::float32, 8)));
        EXPECT_TRUE(identical("dlog_c", got.dlog_c, normals({numbers}, DType::float32, 10)));
    });
}

TEST(Lru, BrokenContractsAreNamed) {
    Problem p(DType::float32);
    p.nu = normals({numbers - 1}, DType::float32, 2);
    EXPECT_THROW(p.forward(false), std::logic_error);
}

}  // namespace
}  // namespace locus::test
