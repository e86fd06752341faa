#include "kernels/depthwise_convolution.h"

#include <algorithm>
#include <stdexcept>

#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

// Sequences longer and shorter than the taps, one empty; more channels than one block.
constexpr std::int64_t rows = 9, channels = 67, width = 5;
const std::vector<std::int32_t> offsets = {0, 7, 7, 8, 9};

struct Problem {
    explicit Problem(DType dtype, Edges past_the_ends = Edges::zeros)
        : edges(past_the_ends),
          x(normals({rows, channels}, dtype, 1)),
          weight(normals({channels, width}, dtype, 2)),
          bias(normals({channels}, dtype, 3)),
          y({rows, channels}, dtype) {}
    AttentionRows batch() const { return {ends, counted}; }
    void forward() {
        depthwise_convolution_forward(
            {.x = x, .weight = weight, .bias = bias, .rows = batch(), .edges = edges, .y = y});
    }
    Edges edges;
    Owned x, weight, bias, y, ends = int32s(offsets), counted = counting(rows);
};

TEST(DepthwiseConvolution, AgreesWithItsFormulaAtBothKindsOfEdges) {
    for (DType dtype : {DType::float32, DType::float64}) {
        for (Edges edges : {Edges::zeros, Edges::nearest}) {
            Problem p(dtype, edges);
            p.forward();
            Owned expected({rows, channels}, DType::float64);
            for (std::size_t s = 0; s + 1 < offsets.size(); ++s) {
                for (std::int64_t r = offsets[s]; r < offsets[s + 1]; ++r) {
                    for (std::int64_t c = 0; c < channels; ++c) {
                        double sum = p.bias.get(c);
                        for (std::int64_t t = 0; t < width; ++t) {
                            const std::int64_t from = r + t - 2, first = offsets[s], last = offsets[s + 1] - 1;
                            if (edges == Edges::zeros && (from < first || from > last)) continue;
                            sum += p.weight.get(c, t) * p.x.get(std::clamp(from, first, last), c);
                        }
                        expected.set(r * channels + c, sum);
                    }
                }
            }
            EXPECT_TRUE(
                close("y", converted(p.y, DType::float64), expected, 0.0, dtype == DType::float32 ? 1e-6 : 1e-14));
        }
    }
}

TEST(DepthwiseConvolution, GradientsMatchDifferencesAndAddUp) {
    for (Edges edges : {Edges::zeros, Edges::nearest}) {
        Problem p(DType::float64, edges);
        const Owned dy = normals({rows, channels}, DType::float64, 4);
        const auto loss = [&] {
            p.forward();
            return dot(dy, p.y);
        };
        Owned dx = filled({rows, channels}, DType::float64, 7.0);  // overwritten
        Owned dweight = zeros(p.weight.shape(), DType::float64), dbias = zeros(p.bias.shape(), DType::float64);
        Arena arena;
        DepthwiseConvolutionBackward args = {.dy = dy,
                                             .x = p.x,
                                             .weight = p.weight,
                                             .rows = p.batch(),
                                             .edges = edges,
                                             .dx = dx,
                                             .dweight = dweight,
                                             .dbias = dbias,
                                             .arena = &arena};
        depthwise_convolution_backward(args);
        GradientCheck check(loss);
        EXPECT_TRUE(check.input("x", p.x, dx).input("weight", p.weight, dweight).input("bias", p.bias, dbias).run());
        const double before = dx.get(3, 5), tap = dweight.get(2, 1), shift = dbias.get(6);
        args.accumulate = true;
        depthwise_convolution_backward(args);
        EXPECT_NEAR(dx.get(3, 5), 2 * before, 1e-12);
        EXPECT_NEAR(dweight.get(2, 1), 2 * tap, 1e-12);
        EXPECT_NEAR(dbias.get(6), 2 * shift, 1e-12);
    }
}

// What one call of each pass makes of the problem, beginning with gradients that are not 0.
struct Solved {
    explicit Solved(Edges edges, bool with_bias, bool accumulate) : p(DType::float32, edges) {
        const Owned dy = normals({rows, channels}, DType::float32, 4);
        Arena arena(OnDevice::current());
        depthwise_convolution_forward({.x = p.x,
                                       .weight = p.weight,
                                       .bias = with_bias ? p.bias.tensor() : Tensor(),
                                       .rows = p.batch(),
                                       .edges = edges,
                                       .y = p.y});
        depthwise_convolution_backward({.dy = dy,
                                        .x = p.x,
                                        .weight = p.weight,
                                        .rows = p.batch(),
                                        .edges = edges,
                                        .dx = dx,
                                        .accumulate = accumulate,
                                        .dweight = dweight,
                                        .dbias = with_bias ? dbias.tensor() : Tensor(),
                                        .arena = &arena});
    }
    Problem p;
    Owned dx = normals({rows, channels}, DType::float32, 5), dweight = normals({channels, width}, DType::float32, 6),
          dbias = normals({channels}, DType::float32, 7);
};

TEST(DepthwiseConvolution, GivesOnAGpuWhatItGivesOnTheProcessor) {
    for (Edges edges : {Edges::zeros, Edges::nearest}) {
        for (const bool flag : {false, true}) {
            const Solved expected(edges, flag, flag);
            on_each_gpu([&] {
                const Solved got(edges, flag, flag);
                EXPECT_TRUE(close("y", got.p.y, expected.p.y, 0.0, 1e-6));
                EXPECT_TRUE(close("dx", got.dx, expected.dx, 0.0, 1e-6));
                EXPECT_TRUE(close("dweight", got.dweight, expected.dweight, 0.0, 2e-6));
                EXPECT_TRUE(close("dbias", got.dbias, expected.dbias, 0.0, 2e-6));
            });
        }
    }
}

TEST(DepthwiseConvolution, OfNoRowsLeavesTheGradientsOnAGpu) {
    on_each_gpu([] {
        const Owned x({0, 3}, DType::float32), weight = normals({3, 5}, DType::float32, 1), ends = int32s({0, 0});
        const Owned before = normals({3, 5}, DType::float32, 2), dweight = before;
        Arena arena(OnDevice::current());
        depthwise_convolution_forward({.x = x, .weight = weight, .rows = {ends, ends}, .y = x});
        depthwise_convolution_backward(
            {.dy = x, .x = x, .weight = weight, .rows = {ends, ends}, .dx = x, .dweight = dweight, .arena = &arena});
        EXPECT_TRUE(identical("dweight", dweight, before));
    });
}

TEST(DepthwiseConvolution, BrokenContractsAreNamed) {
    Problem p(DType::float32);
    p.weight = normals({channels, 4}, DType::float32, 2);
    EXPECT_THROW(p.forward(), std::logic_error);
    p = Problem(DType::float32);
    p.bias = normals({channels + 1}, DType::float32, 2);
    EXPECT_THROW(p.forward(), std::logic_error);
}

}  // namespace
}  // namespace locus::test
