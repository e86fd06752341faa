// The kernels of single position encodings and of DeBERTa's convolution, at the shapes of the tiny model (kernel_run.h). Recurrent nets:
// recurrence_benchmark.cpp. Tables and biases inside the score: attention_benchmark.cpp.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>

#include "kernels/bias_network.h"
#include "kernels/copy_columns.h"
#include "kernels/depthwise_convolution.h"
#include "kernels/fire.h"
#include "kernels/flow.h"
#include "kernels/kerple.h"
#include "kernels/rotary.h"
#include "kernels/row_products.h"
#include "kernels/tanh.h"
#include "kernels/transpose.h"
#include "kernels/unfold.h"
#include "tests/benchmarks/kernel_run.h"

namespace locus {
namespace {

constexpr std::int64_t heads = 4, head_dim = hidden / heads, distances = 2 * length - 1, units = 64;

void register_rotary() {
    const double n = static_cast<double>(rows * 2 * hidden);
    for (const bool interleaved : {false, true}) {
        register_run(interleaved ? "rotary/interleaved" : "rotary/half_split", {3.0 * n, 8.0 * n}, [=](Workspace& w) {
            const Rotary args = {.x = w.floats({rows, 3 * hidden}),
                                 .positions = w.int32s(rows, [](std::int64_t r) { return r % length; }),
                                 .cosines = w.floats({length, head_dim / 2}),
                                 .sines = w.floats({length, head_dim / 2}),
                                 .columns = 2 * hidden,
                                 .head_dim = head_dim,
                                 .interleaved = interleaved};
            return [args] { rotary(args); };
        });
    }
}

void register_elementwise() {
    const double n = static_cast<double>(rows * hidden);
    const Shape shape = {rows, hidden};
    register_run("tanh_forward", {15.0 * n, 8.0 * n}, [=](Workspace& w) {
        const TanhForward args = {w.floats(shape, 3.0F), w.floats(shape)};
        return [args] { tanh_forward(args); };
    });
    register_run("tanh_backward", {3.0 * n, 12.0 * n}, [=](Workspace& w) {
        const TanhBackward args = {w.floats(shape), w.floats(shape), w.floats(shape)};
        return [args] { tanh_backward(args); };
    });
    register_run("copy_columns", {0.0, 8.0 * n}, [=](Workspace& w) {
        const CopyColumns args = {.x = w.floats(shape), .y = w.floats({rows, 2 * hidden}).slice(1, 0, hidden)};
        return [args] { copy_columns(args); };
    });
    const double b = static_cast<double>(heads * distances);
    register_run("transpose", {0.0, 8.0 * b}, [=](Workspace& w) {
        const Transpose args = {.x = w.floats({distances, heads}), .y = w.floats({heads, distances})};
        return [args] { transpose(args); };
    });
}

void register_convolutions() {
    constexpr std::int64_t width = 3;
    const double n = static_cast<double>(rows * hidden);
    const Shape shape = {rows, hidden};
    register_run("unfold_forward", {0.0, 4.0 * (1 + width) * n}, [=](Workspace& w) {
        const UnfoldForward args = {w.floats(shape), w.attention_rows(), width, w.floats({rows, width * hidden})};
        return [args] { unfold_forward(args); };
    });
    register_run("unfold_backward", {width * n, 4.0 * (1 + width) * n}, [=](Workspace& w) {
        const UnfoldBackward args = {w.floats({rows, width * hidden}), w.attention_rows(), width, w.floats(shape)};
        return [args] { unfold_backward(args); };
    });
    register_run("depthwise_convolution_forward", {2.0 * width * n, 8.0 * n}, [=](Workspace& w) {
        const DepthwiseConvolutionForward args = {.x = w.floats(shape),
                                                  .weight = w.floats({hidden, width}),
                                                  .rows = w.attention_rows(),
                                                  .y = w.floats(shape)};
        return [args] { depthwise_convolution_forward(args); };
    });
    register_run("depthwise_convolution_backward", {4.0 * width * n, 12.0 * n}, [=](Workspace& w) {
        const auto arena = std::make_shared<Arena>();
        DepthwiseConvolutionBackward args = {.dy = w.floats(shape),
                                             .x = w.floats(shape),
                                             .weight = w.floats({hidden, width}),
                                             .rows = w.attention_rows(),
                                             .dx = w.floats(shape),
                                             .dweight = w.floats({hidden, width})};
        args.arena = arena.get();
        return [args, arena] { depthwise_convolution_backward(args); };
    });
}

// Functions of the distance: a handful of numbers, made once for all pairs.
void register_biases() {
    const double b = static_cast<double>(heads * distances);
    register_run("kerple", {10.0 * b, 4.0 * b}, [](Workspace& w) {
        const Tensor a = w.floats({1, heads}), p = w.floats({1, heads});
        for (std::int64_t h = 0; h < heads; ++h) a.as<float>()[h] = p.as<float>()[h] = 1.0F;  // both above 0
        const Kerple args = {.a = a, .p = p, .power = false, .bias = w.floats({heads, distances}), .da = {}, .dp = {}};
        return [args] { kerple_forward(args); };
    });
    register_run("fire_distances", {10.0 * distances, 4.0 * distances}, [](Workspace& w) {
        const Tensor c = w.floats({1}), t = w.floats({1});
        c.as<float>()[0] = t.as<float>()[0] = 1.0F;
        const FireDistances args = {.c = c, .t = t, .x = w.floats({distances}), .dc = {}, .dt = {}};
        return [args] { fire_distances_forward(args); };
    });
    register_run("bias_network_forward", {2.0 * units * b, 4.0 * b}, [](Workspace& w) {
        const BiasNetworkForward args = {
            {w.floats({distances}), w.floats({units}), w.floats({units}), w.floats({heads, units})},
            w.floats({heads, distances})};
        return [args] { bias_network_forward(args); };
    });
    register_run("row_products_forward", {2.0 * distances * hidden, 8.0 * distances * hidden}, [](Workspace& w) {
        const RowProductsForward args = {
            {.a = w.floats({distances, hidden}),
             .b = w.floats({distances, hidden}),
             .a_rows = w.int32s(distances, [](std::int64_t n) { return n; }),
             .b_rows = w.int32s(distances, [](std::int64_t n) { return distances - 1 - n; }),
             .heads = heads},
            w.floats({heads, distances})};
        return [args] { row_products_forward(args); };
    });
}

void register_flow() {
    const FlowSteps steps = {.solver = Solver::rk4, .interval = 0.1, .steps = 1};
    const std::int64_t evaluations = steps.evaluations(length);
    register_run("flow_forward", {4.0 * static_cast<double>(evaluations * hidden * units), 0.0}, [=](Workspace& w) {
        const auto arena = std::make_shared<Arena>();
        FlowForward args = {.network = {.in_weight = w.floats({units, hidden}, 0.1F),
                                        .time_weight = {},
                                        .in_bias = w.floats({units}),
                                        .out_weight = w.floats({hidden, units}, 0.1F),
                                        .out_bias = w.floats({hidden})},
                            .steps = steps,
                            .start = w.floats({hidden}),
                            .points = w.floats({length, hidden}),
                            .asked = w.floats({evaluations, hidden}),
                            .tanh = w.floats({evaluations, units})};
        args.arena = arena.get();
        return [args, arena] { flow_forward(args); };
    });
}

[[maybe_unused]] const bool registered = [] {
    register_rotary();
    register_elementwise();
    register_convolutions();
    register_biases();
    register_flow();
    return true;
}();

}  // namespace
}  // namespace locus
