// Kernels on a GPU, in bfloat16, at the shapes of BERT-base: a batch of 64 sequences of 512 tokens, 15 % of them masked. On the host's stand-in the shapes are
// tiny: there it only shows that all of it runs.
//
//     gpu_benchmark --device=cuda --benchmark_out=FILE --benchmark_out_format=json
//
// A kernel is started many times before the device is waited for once, so that the waiting does not count.
//
// Counters: GB/s, bytes that must cross the memory at least; percent_of_copy, of what copying reaches (kernels/ceilings.h), measured before; TFLOP/s, of the
// attention's products alone: 2 forward, 5 backward (scores computed again included), and for each table 1 and 3.

#include <benchmark/benchmark.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <memory>
#include <set>
#include <string_view>

#include "kernels/adamw.h"
#include "kernels/attention.h"
#include "kernels/ceilings.h"
#include "kernels/cross_entropy.h"
#include "kernels/embedding.h"
#include "kernels/gelu.h"
#include "kernels/layer_norm.h"
#include "tests/benchmarks/kernel_run.h"

namespace locus {
namespace {

struct Sizes {
    std::int64_t rows, hidden, feed_forward, vocabulary, masked, parameters, heads;
    std::vector<std::int64_t> lengths;  // of attention, over as many rows
};
const Sizes base = {32768, 768, 3072, 30522, 4915, 110000000, 12, {512, 2048, 8192}};
const Sizes tiny = {128, 64, 96, 101, 20, 1000, 1, {32, 128}};

constexpr DType stored = DType::bfloat16;
constexpr std::int64_t head_dim = 64;

struct Bench {
    Device device = Device::simt;
    Sizes sizes = tiny;
    double copy_gigabytes = 0;  // per second
};

using Kernel = std::function<void()>;

/// Seconds of one call, again and again.
void time_on_device(benchmark::State& state, Device device, const Kernel& kernel) {
    using Clock = std::chrono::steady_clock;
    const int at_once = device == Device::cuda ? 20 : 1;
    kernel();  // makes scratch memory
    wait_for(device);
    for (auto _ : state) {
        const auto start = Clock::now();
        for (int n = 0; n < at_once; ++n) kernel();
        wait_for(device);
        state.SetIterationTime(std::chrono::duration<double>(Clock::now() - start).count() / at_once);
    }
}

void add(const Bench& bench, const std::string& name, Work work, const std::function<Kernel(Workspace&)>& prepare) {
    benchmark::RegisterBenchmark(
        name.c_str(),
        [=](benchmark::State& state) {
            try {
                Workspace workspace(bench.device);
                time_on_device(state, bench.device, prepare(workspace));
            } catch (const std::exception& error) {  // the others may still be measured
                return state.SkipWithError(error.what());
            }
            const auto rate = benchmark::Counter::kIsIterationInvariantRate;
            if (work.flop > 0) state.counters["TFLOP/s"] = {work.flop * 1e-12, rate};
            if (work.bytes <= 0) return;
            state.counters["GB/s"] = {work.bytes * 1e-9, rate};
            state.counters["percent_of_copy"] = {work.bytes * 1e-7 / bench.copy_gigabytes, rate};
        })
        ->UseManualTime()
        ->Unit(benchmark::kMicrosecond)
        ->MinTime(bench.device == Device::cuda ? 0.02 : 1e-6);  // of the time of single calls: twenty times that in all
}

/// Sequence and position of each row, in sequences of `length`.
DropoutRows rows_of(Workspace& w, std::int64_t rows, std::int64_t length) {
    return {w.int32s(rows, [=](std::int64_t r) { return r / length; }),
            w.int32s(rows, [=](std::int64_t r) { return r % length; })};
}

void add_layer_norm(const Bench& bench) {
    const Sizes& s = bench.sizes;
    const Shape shape = {s.rows, s.hidden};
    const double n = static_cast<double>(shape.count());
    add(bench, "layer_norm_forward", {0, 8 * n}, [=](Workspace& w) -> Kernel {
        const LayerNormForward args = {.x = w.floats(shape, 1, stored),
                                       .residual = w.floats(shape, 1, stored),
                                       .gamma = w.floats({s.hidden}),
                                       .beta = w.floats({s.hidden}),
                                       .dropout = tenth,
                                       .rows = rows_of(w, s.rows, s.lengths[0]),
                                       .sum = w.floats(shape, 1, stored),
                                       .y = w.floats(shape, 1, stored),
                                       .mean = w.floats({s.rows}),
                                       .rstd = w.floats({s.rows})};
        return [args] { layer_norm_forward(args); };
    });
    add(bench, "layer_norm_backward", {0, 8 * n}, [=](Workspace& w) -> Kernel {
        const LayerNormBackward args = {.dy = w.floats(shape, 1, stored),
                                        .sum = w.floats(shape, 1, stored),
                                        .gamma = w.floats({s.hidden}),
                                        .mean = w.floats({s.rows}),
                                        .rstd = w.floats({s.rows}),
                                        .dropout = tenth,
                                        .rows = rows_of(w, s.rows, s.lengths[0]),
                                        .dx = w.floats(shape, 1, stored),
                                        .dresidual = w.floats(shape, 1, stored),
                                        .dgamma = w.floats({s.hidden}),
                                        .dbeta = w.floats({s.hidden})};
        return [args] { layer_norm_backward(args); };
    });
    add(bench, "dropout_forward", {0, 4 * n}, [=](Workspace& w) -> Kernel {
        const DropoutForward args = {w.floats(shape, 1, stored), w.floats(shape, 1, stored), tenth,
                                     rows_of(w, s.rows, s.lengths[0])};
        return [args] { dropout_forward(args); };
    });
}

void add_gelu(const Bench& bench) {
    const Shape shape = {bench.sizes.rows, bench.sizes.feed_forward};
    const double n = static_cast<double>(shape.count());
    const Shape columns = {bench.sizes.feed_forward};
    add(bench, "gelu_forward", {0, 4 * n}, [=](Workspace& w) -> Kernel {
        const GeluForward args = {w.floats(shape, 3, stored), w.floats(columns), w.floats(shape, 1, stored)};
        return [args] { gelu_forward(args); };
    });
    add(bench, "gelu_backward", {0, 6 * n}, [=](Workspace& w) -> Kernel {
        const GeluBackward args = {w.floats(shape, 1, stored), w.floats(shape, 3, stored), w.floats(columns),
                                   w.floats(shape, 1, stored), w.floats(columns)};
        return [args] { gelu_backward(args); };
    });
}

std::int64_t token(std::int64_t row, std::int64_t vocabulary) { return row * row % vocabulary; }

// The table and its gradient are float32, and so is what is looked up. The gradient's rows that have tokens are read and written.
void add_embedding(const Bench& bench) {
    const Sizes& s = bench.sizes;
    const double n = static_cast<double>(s.rows * s.hidden);
    std::set<std::int64_t> tokens;
    for (std::int64_t row = 0; row < s.rows; ++row) tokens.insert(token(row, s.vocabulary));
    const double entries = static_cast<double>(static_cast<std::int64_t>(tokens.size()) * s.hidden);
    const auto ids = [=](Workspace& w) {
        return w.int32s(s.rows, [=](std::int64_t r) { return token(r, s.vocabulary); });
    };
    add(bench, "embedding_forward", {0, 4 * n + 4 * entries}, [=](Workspace& w) -> Kernel {
        const EmbeddingForward args = {
            .table = w.floats({s.vocabulary, s.hidden}), .ids = ids(w), .y = w.floats({s.rows, s.hidden})};
        return [args] { embedding_forward(args); };
    });
    add(bench, "embedding_backward", {0, 4 * n + 8 * entries}, [=](Workspace& w) -> Kernel {
        const auto arena = std::make_shared<Arena>(bench.device);
        EmbeddingBackward args = {
            .dy = w.floats({s.rows, s.hidden}), .ids = ids(w), .dtable = w.floats({s.vocabulary, s.hidden})};
        args.arena = arena.get();
        return [args, arena] { embedding_backward(args); };
    });
}

void add_loss_and_optimizer(const Bench& bench) {
    const Sizes& s = bench.sizes;
    const double n = static_cast<double>(s.masked * s.vocabulary), p = static_cast<double>(s.parameters);
    add(bench, "cross_entropy", {0, 8 * n}, [=](Workspace& w) -> Kernel {
        const Shape padded = {s.masked, (s.vocabulary + 7) / 8 * 8};  // as the model has them
        const CrossEntropy args = {.logits = w.floats(padded).slice(1, 0, s.vocabulary),
                                   .bias = w.floats({s.vocabulary}),
                                   .targets = w.int32s(s.masked, [=](std::int64_t m) { return m * 13 % s.vocabulary; }),
                                   .loss = w.take({s.masked}, DType::float64),
                                   .correct = w.take({s.masked}, DType::int32),
                                   .gradient = true,
                                   .dlogits = w.floats(padded, 1, stored).slice(1, 0, s.vocabulary),
                                   .scale = 1.0 / static_cast<double>(s.masked),
                                   .dbias = w.floats({s.vocabulary})};
        return [args] { cross_entropy(args); };
    });
    add(bench, "sum_of_squares", {0, 4 * p}, [=](Workspace& w) -> Kernel {
        const SumOfSquares args = {w.floats({s.parameters}), w.take({1}, DType::float64)};
        return [args] { sum_of_squares(args); };
    });
    add(bench, "adamw", {0, 28 * p}, [=](Workspace& w) -> Kernel {
        const AdamW args = {.parameter = w.floats({s.parameters}),
                            .gradient = w.floats({s.parameters}),
                            .m = w.take({s.parameters}, DType::float32),
                            .v = w.take({s.parameters}, DType::float32),
                            .squares = w.take({1}, DType::float64),
                            .clip = 1};
        return [args] { adamw(args); };
    });
}

// ---- attention ----

struct Attention {
    AttentionForward forward;
    AttentionBackward backward;
    Arena arena;
    explicit Attention(Device device) : arena(device) {}
};

// DeBERTa's: 256 buckets on either side.
RelativeTable table_of(Workspace& w, std::int64_t heads, std::int64_t length) {
    constexpr std::int64_t entries = 512;
    return {w.floats({heads, entries, head_dim}),
            w.int32s(2 * length - 1, [=](std::int64_t r) { return r * entries / (2 * length - 1); })};
}

std::shared_ptr<Attention> attention_of(const Bench& bench, Workspace& w, std::int64_t length, int tables,
                                        const Dropout& dropout) {
    const std::int64_t rows = bench.sizes.rows, heads = bench.sizes.heads;
    auto run = std::make_shared<Attention>(bench.device);
    AttentionForward& f = run->forward;
    AttentionBackward& b = run->backward;
    const Tensor product = w.floats({rows, 3 * heads, head_dim}, 1, stored);
    const Tensor gradient = w.floats({rows, 3 * heads, head_dim}, 1, stored);
    const Shape shape = {rows, heads, head_dim};
    b.q = f.q = product.slice(1, 0, heads);
    b.k = f.k = product.slice(1, heads, 2 * heads);
    b.value = f.value = product.slice(1, 2 * heads, 3 * heads);
    b.dq = gradient.slice(1, 0, heads);
    b.dk = gradient.slice(1, heads, 2 * heads);
    b.dvalue = gradient.slice(1, 2 * heads, 3 * heads);
    b.dropout_rows = f.dropout_rows = rows_of(w, rows, length);
    b.q_rows = b.k_rows = f.q_rows = f.k_rows = {
        w.int32s(rows / length + 1, [=](std::int64_t s) { return s * length; }), f.dropout_rows.position, length};
    f.terms.scale = 1 / std::sqrt(static_cast<double>(head_dim * (1 + tables)));
    if (tables > 0) {
        f.terms.key_table = table_of(w, heads, length);
        f.terms.query_table = table_of(w, heads, length);
        b.dterms.key_table = w.floats(f.terms.key_table.rows.shape);
        b.dterms.query_table = w.floats(f.terms.query_table.rows.shape);
    }
    b.terms = f.terms;
    b.dropout = f.dropout = dropout;
    b.out = f.out = w.floats(shape, 1, stored);
    b.dout = w.floats(shape, 1, stored);
    b.log_sum_exp = f.log_sum_exp = w.floats({rows, heads});
    b.bfloat16 = f.bfloat16 = true;
    b.arena = f.arena = &run->arena;
    return run;
}

void add_attention(const Bench& bench, std::int64_t length, int tables, const Dropout& dropout) {
    const std::string kind =
        std::string(tables > 0 ? "disentangled" : "plain") + (dropout ? "_dropout" : "") + "/" + std::to_string(length);
    const double product = 2.0 * static_cast<double>(bench.sizes.rows * length * head_dim * bench.sizes.heads);
    add(bench, "attention_forward/" + kind, {(2 + tables) * product, 0}, [=](Workspace& w) -> Kernel {
        const auto run = attention_of(bench, w, length, tables, dropout);
        return [run] { attention_forward(run->forward); };
    });
    add(bench, "attention_backward/" + kind, {(5 + 3 * tables) * product, 0}, [=](Workspace& w) -> Kernel {
        const auto run = attention_of(bench, w, length, tables, dropout);
        attention_forward(run->forward);
        return [run] { attention_backward(run->backward); };
    });
}

void add_all(const Bench& bench) {
    for (const std::int64_t length : bench.sizes.lengths) {
        for (const int tables : {0, 2}) {
            for (const Dropout& dropout : {Dropout(), tenth}) add_attention(bench, length, tables, dropout);
        }
    }
    add_layer_norm(bench);
    add_loss_and_optimizer(bench);
    add_embedding(bench);
    add_gelu(bench);
}

int run(Device device) {
    if (const std::string reason = why_unavailable(device); !reason.empty()) {
        std::fprintf(stderr, "gpu_benchmark: device %s: %s\n", name_of(device), reason.c_str());
        return 2;
    }
    const bool is_gpu = device == Device::cuda;
    const std::int64_t copied = std::int64_t{1} << (is_gpu ? 30U : 20U);
    const Bench bench = {device, is_gpu ? base : tiny, copy_ceiling({.device = device, .copy_bytes = copied})};
    benchmark::AddCustomContext("device", description_of(device));
    benchmark::AddCustomContext("copy_gigabytes_per_second", std::to_string(bench.copy_gigabytes));
    add_all(bench);
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}

}  // namespace
}  // namespace locus

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    const std::string_view wish = argc == 2 ? argv[1] : "";
    if (wish == "--device=cuda") return locus::run(locus::Device::cuda);
    if (wish == "--device=simt") return locus::run(locus::Device::simt);
    std::fprintf(stderr, "usage: gpu_benchmark --device=cuda|simt [Google Benchmark's options]\n");
    return 2;
}
