// What a recurrent net over the embeddings costs, and what it costs when its step is linear: embed() forward and backward, both directions,
// float32, sequences of 2,048 tokens. The ratio of the two is what linear_recurrence is for.

#include <benchmark/benchmark.h>

#include <vector>

#include "kernels/random.h"
#include "model/position/position_encoding.h"

namespace locus {
namespace {

struct Problem {
    Problem(const char* encoding, const char* option, const char* value, std::int64_t batch, std::int64_t columns)
        : rows(batch * length), x(static_cast<std::size_t>(rows * columns)), seed(x.size(), 1.0F) {
        settings.hidden = columns;
        settings.position = {default_position(encoding)};
        settings.position[0].options[option] = std::string(value);
        net = find_encoding(encoding)->make(settings, settings.position[0]);
        net->declare_embedding_parameters(parameters, "");
        parameters.allocate();
        parameters.initialize(1, 0.05);
        for (std::size_t n = 0; n < x.size(); ++n) {
            const Philox4 bits = philox({1, stream_benchmark}, {static_cast<std::uint32_t>(n), 0, 0, 0});
            x[n] = 0.05F * static_cast<float>(box_muller(bits[0], bits[1])[0]);
        }
        for (std::int64_t b = 0; b <= batch; ++b) offsets.push_back(static_cast<std::int32_t>(b * length));
        for (std::int64_t r = 0; r < rows; ++r) positions.push_back(static_cast<std::int32_t>(r % length));
        input.rows = {Tensor(offsets.data(), {batch + 1}, DType::int32),
                      Tensor(positions.data(), {rows}, DType::int32)};
        input.longest = length;
    }

    void step() {
        const Shape shape = {rows, settings.hidden};
        Tape tape(arena);
        parameters.zero_gradients();
        const Var y = net->embed(tape, tape.variable(Tensor(x.data(), shape, DType::float32)), input);
        tape.backward(y, Tensor(seed.data(), shape, DType::float32));
    }

    static constexpr std::int64_t length = 2048;
    std::int64_t rows;
    std::vector<float> x, seed;
    std::vector<std::int32_t> offsets, positions;
    ModelSettings settings;
    ModelInput input;
    Parameters parameters{DType::float32};
    std::unique_ptr<PositionEncoding> net;
    Arena arena;
};

void embed_step(benchmark::State& state, const char* encoding, const char* option, const char* value) {
    Problem problem(encoding, option, value, state.range(0), state.range(1));
    for (auto _ : state) problem.step();
    state.counters["tokens/s"] =
        benchmark::Counter(static_cast<double>(problem.rows), benchmark::Counter::kIsIterationInvariantRate);
}

void shapes(benchmark::internal::Benchmark* benchmark) {
    benchmark->ArgNames({"batch", "columns"})->Args({1, 256})->Args({4, 256})->Args({32, 128});
    benchmark->UseRealTime()->Unit(benchmark::kMillisecond);
}
BENCHMARK_CAPTURE(embed_step, rnn_gru, "rnn", "cell", "gru")->Apply(shapes);
BENCHMARK_CAPTURE(embed_step, linear_recurrence_mingru, "linear_recurrence", "variant", "mingru")->Apply(shapes);
BENCHMARK_CAPTURE(embed_step, linear_recurrence_lru, "linear_recurrence", "variant", "lru")->Apply(shapes);

}  // namespace
}  // namespace locus
