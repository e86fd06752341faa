// Attention, 4 heads of 64 numbers, 4096 rows, dropout 0.1, float32 and bfloat16: sequences of 128 and 512 rows, without tables and with DeBERTa's.
// GFLOP/s counts the products of the score, the output and their gradients (2 forward, 5 backward, and for each table 1 forward and
// 3 backward; scores computed again included), not what tiles and bands compute beyond them.

#include <benchmark/benchmark.h>

#include <cmath>

#include "kernels/attention.h"
#include "tests/kernels/attention_problem.h"

namespace locus {
namespace {

test::AttentionSetup setup_of(const benchmark::State& state) {
    test::AttentionSetup setup;
    const auto length = static_cast<int>(state.range(0));
    setup.k_lengths.assign(static_cast<std::size_t>(4096 / length), length);
    setup.heads = 4;
    setup.head_dim = 64;
    setup.scale = 1.0 / std::sqrt(64.0 * static_cast<double>(1 + state.range(1)));
    setup.dropout = 0.1F;
    setup.reach = length - 1;
    setup.key_table = state.range(1) >= 1;
    setup.query_table = state.range(1) >= 2;
    setup.fused_product = true;
    return setup;
}

// One product of all scores: 2 S^2 head_dim for each sequence and head.
double product_flops(const benchmark::State& state) {
    return 2.0 * 4096.0 * static_cast<double>(state.range(0)) * 64.0 * 4.0;
}

void report(benchmark::State& state, double flops) {
    state.counters["GFLOP/s"] = benchmark::Counter(flops * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

void attention_forward_pass(benchmark::State& state) {
    test::AttentionProblem<float> problem(setup_of(state));
    problem.forward.bfloat16 = state.range(2) != 0;
    for (auto _ : state) attention_forward(problem.forward);
    report(state, product_flops(state) * static_cast<double>(2 + state.range(1)));
}

void attention_backward_pass(benchmark::State& state) {
    test::AttentionProblem<float> problem(setup_of(state));
    problem.forward.bfloat16 = problem.backward.bfloat16 = state.range(2) != 0;
    attention_forward(problem.forward);
    for (auto _ : state) attention_backward(problem.backward);
    report(state, product_flops(state) * static_cast<double>(5 + 3 * state.range(1)));
}

void lengths_and_tables(benchmark::internal::Benchmark* benchmark) {
    benchmark->ArgNames({"length", "tables", "bfloat16"})->ArgsProduct({{128, 512}, {0, 1, 2}, {0, 1}});
    benchmark->UseRealTime()->Unit(benchmark::kMillisecond);
}
BENCHMARK(attention_forward_pass)->Apply(lengths_and_tables);
BENCHMARK(attention_backward_pass)->Apply(lengths_and_tables);

}  // namespace
}  // namespace locus
