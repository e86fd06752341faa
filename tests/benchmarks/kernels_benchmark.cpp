// The kernels of every model but attention (attention_benchmark.cpp) at the shapes of the tiny model: 4 layers, hidden 256, 4 heads, feed-forward 1024, vocabulary 8192; a batch of 32
// sequences of 128 tokens, 15 % of them masked.
//
//     OMP_NUM_THREADS=2 kernels_benchmark --benchmark_filter=matmul

#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <string>

#include "kernels/adamw.h"
#include "kernels/add.h"
#include "kernels/column_sum.h"
#include "kernels/cross_entropy.h"
#include "kernels/dropout.h"
#include "kernels/embedding.h"
#include "kernels/gather_rows.h"
#include "kernels/gelu.h"
#include "kernels/layer_norm.h"
#include "kernels/matmul.h"
#include "tests/benchmarks/kernel_run.h"

namespace locus {
namespace {

// ---- matrix products: y = x W^T, dx = dy W, dW += dy^T x ----

void register_linear(const std::string& name, std::int64_t m, std::int64_t in, std::int64_t out, bool bfloat16) {
    const std::string kernel = bfloat16 ? "matmul_bfloat16/" : "matmul/";
    const auto count = [](std::int64_t a, std::int64_t b) { return static_cast<double>(a * b); };
    const double flop = 2.0 * count(m, in) * static_cast<double>(out);
    const double bytes = 4.0 * (count(m, in) + count(m, out) + count(in, out));
    register_run(kernel + name + "/forward", {flop, bytes}, [=](Workspace& w) {
        const Matmul args = {.a = w.floats({m, in}),
                             .b = w.floats({out, in}),
                             .c = w.floats({m, out}),
                             .transpose_b = true,
                             .bias = w.floats({out}),
                             .rounding = bfloat16 ? Rounding::bfloat16 : Rounding::none};
        return [args] { matmul(args); };
    });
    register_run(kernel + name + "/dX", {flop, bytes}, [=](Workspace& w) {
        const Matmul args = {.a = w.floats({m, out}),
                             .b = w.floats({out, in}),
                             .c = w.floats({m, in}),
                             .rounding = bfloat16 ? Rounding::bfloat16 : Rounding::none};
        return [args] { matmul(args); };
    });
    register_run(kernel + name + "/dW", {flop, bytes}, [=](Workspace& w) {
        const Matmul args = {.a = w.floats({m, out}),
                             .b = w.floats({m, in}),
                             .c = w.floats({out, in}),
                             .transpose_a = true,
                             .accumulate = true,
                             .rounding = bfloat16 ? Rounding::bfloat16 : Rounding::none};
        return [args] { matmul(args); };
    });
}

void register_float64_matmul() {
    constexpr std::int64_t n = 256;
    register_run("matmul_float64/256", {2.0 * n * n * n, 8.0 * 3 * n * n}, [](Workspace& w) {
        const Matmul args = {.a = w.take({n, n}, DType::float64),
                             .b = w.take({n, n}, DType::float64),
                             .c = w.take({n, n}, DType::float64)};
        return [args] { matmul(args); };
    });
}

// ---- the kernels that stand between the products ----

void register_gelu() {
    const double n = static_cast<double>(rows * feed_forward);
    register_run("gelu_forward", {25.0 * n, 8.0 * n}, [](Workspace& w) {
        const Shape shape = {rows, feed_forward};
        const GeluForward args = {w.floats(shape, 3.0F), w.floats({feed_forward}), w.floats(shape)};
        return [args] { gelu_forward(args); };
    });
    register_run("gelu_backward", {40.0 * n, 12.0 * n}, [](Workspace& w) {
        const Shape shape = {rows, feed_forward};
        const GeluBackward args = {w.floats(shape), w.floats(shape, 3.0F), w.floats({feed_forward}), w.floats(shape),
                                   w.floats({feed_forward})};
        return [args] { gelu_backward(args); };
    });
}

void register_layer_norm() {
    const double n = static_cast<double>(rows * hidden);
    const Shape shape = {rows, hidden};
    register_run("layer_norm_forward", {8.0 * n, 16.0 * n}, [=](Workspace& w) {
        const LayerNormForward args = {.x = w.floats(shape),
                                       .residual = w.floats(shape),
                                       .gamma = w.floats({hidden}),
                                       .beta = w.floats({hidden}),
                                       .dropout = tenth,
                                       .rows = w.dropout_rows(),
                                       .sum = w.floats(shape),
                                       .y = w.floats(shape),
                                       .mean = w.floats({rows}),
                                       .rstd = w.floats({rows})};
        return [args] { layer_norm_forward(args); };
    });
    register_run("layer_norm_backward", {15.0 * n, 16.0 * n}, [=](Workspace& w) {
        const LayerNormBackward args = {.dy = w.floats(shape),
                                        .sum = w.floats(shape),
                                        .gamma = w.floats({hidden}),
                                        .mean = w.floats({rows}),
                                        .rstd = w.floats({rows}),
                                        .dropout = tenth,
                                        .rows = w.dropout_rows(),
                                        .dx = w.floats(shape),
                                        .dresidual = w.floats(shape),
                                        .dgamma = w.floats({hidden}),
                                        .dbeta = w.floats({hidden})};
        return [args] { layer_norm_backward(args); };
    });
    register_run("dropout_forward", {n, 8.0 * n}, [=](Workspace& w) {
        const DropoutForward args = {w.floats(shape), w.floats(shape), tenth, w.dropout_rows()};
        return [args] { dropout_forward(args); };
    });
}

void register_rows() {
    const double n = static_cast<double>(rows * hidden);
    const Shape shape = {rows, hidden};
    register_run("embedding_forward", {0.0, 8.0 * n}, [=](Workspace& w) {
        const Tensor ids = w.int32s(rows, [](std::int64_t r) { return r * r % vocabulary; });
        const EmbeddingForward args = {.table = w.floats({vocabulary, hidden}), .ids = ids, .y = w.floats(shape)};
        return [args] { embedding_forward(args); };
    });
    for (const std::int64_t entries : {std::int64_t{2}, length, vocabulary}) {
        register_run("embedding_backward/" + std::to_string(entries), {n, 8.0 * n}, [=](Workspace& w) {
            const Tensor ids = w.int32s(rows, [=](std::int64_t r) { return r * r % entries; });
            const auto arena = std::make_shared<Arena>();
            EmbeddingBackward args = {.dy = w.floats(shape), .ids = ids, .dtable = w.floats({entries, hidden})};
            args.arena = arena.get();
            return [args, arena] { embedding_backward(args); };
        });
    }
    const double selected = static_cast<double>(masked * hidden);
    register_run("gather_rows_forward", {0.0, 8.0 * selected}, [=](Workspace& w) {
        const Tensor indices = w.int32s(masked, [](std::int64_t m) { return m * rows / masked; });
        const GatherRowsForward args = {w.floats(shape), indices, w.floats({masked, hidden})};
        return [args] { gather_rows_forward(args); };
    });
    register_run("gather_rows_backward", {0.0, 4.0 * (n + selected)}, [=](Workspace& w) {
        const Tensor indices = w.int32s(masked, [](std::int64_t m) { return m * rows / masked; });
        const GatherRowsBackward args = {w.floats({masked, hidden}), indices, w.floats(shape)};
        return [args] { gather_rows_backward(args); };
    });
    register_run("add", {n, 12.0 * n}, [=](Workspace& w) {
        const Add args = {w.floats(shape), w.floats(shape)};
        return [args] { add(args); };
    });
    register_run("column_sum", {n, 4.0 * n}, [=](Workspace& w) {
        const ColumnSum args = {w.floats(shape), w.floats({hidden})};
        return [args] { column_sum(args); };
    });
}

void register_loss_and_optimizer() {
    const double n = static_cast<double>(masked * vocabulary), p = static_cast<double>(parameters);
    register_run("cross_entropy", {20.0 * n, 12.0 * n}, [](Workspace& w) {
        const CrossEntropy args = {.logits = w.floats({masked, vocabulary}),
                                   .bias = w.floats({vocabulary}),
                                   .targets = w.int32s(masked, [](std::int64_t m) { return m * 13 % vocabulary; }),
                                   .loss = w.take({masked}, DType::float64),
                                   .correct = w.take({masked}, DType::int32),
                                   .gradient = true,
                                   .scale = 1.0 / masked,
                                   .dbias = w.floats({vocabulary})};
        return [args] { cross_entropy(args); };
    });
    register_run("adamw", {12.0 * p, 28.0 * p}, [](Workspace& w) {
        const AdamW args = {.parameter = w.floats({parameters}),
                            .gradient = w.floats({parameters}),
                            .m = w.take({parameters}, DType::float32),
                            .v = w.take({parameters}, DType::float32)};
        return [args] { adamw(args); };
    });
    register_run("sum_of_squares", {2.0 * p, 4.0 * p}, [](Workspace& w) {
        const SumOfSquares args = {.x = w.floats({parameters}), .result = w.take({1}, DType::float64)};
        return [args] { sum_of_squares(args); };
    });
}

[[maybe_unused]] const bool registered = [] {
    for (const bool bfloat16 : {false, true}) {
        register_linear("proj_4096x256x256", rows, hidden, hidden, bfloat16);
        register_linear("qkv_4096x768x256", rows, hidden, 3 * hidden, bfloat16);
        register_linear("ffn1_4096x1024x256", rows, hidden, feed_forward, bfloat16);
        register_linear("ffn2_4096x256x1024", rows, feed_forward, hidden, bfloat16);
        register_linear("head_614x8192x256", masked, hidden, vocabulary, bfloat16);
    }
    register_float64_matmul();
    register_gelu();
    register_layer_norm();
    register_rows();
    register_loss_and_optimizer();
    return true;
}();

}  // namespace
}  // namespace locus
