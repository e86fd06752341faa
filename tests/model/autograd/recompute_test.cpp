// Recomputation against the same operations kept on one tape.
#include "model/autograd/recompute.h"

#include <gtest/gtest.h>

#include <cstring>
#include <stdexcept>
#include <vector>

#include "model/autograd/operations.h"
#include "tests/model/gradient_check.h"

namespace locus {
namespace {

constexpr std::int64_t rows = 12, columns = 8;

// A block with a residual and dropout, so that its input has two consumers, and a weight that all blocks share.
class Blocks {
public:
    Blocks() {
        parameters_.declare("start", {rows, columns});
        parameters_.declare("weight", {columns, columns});
        parameters_.declare("bias", {columns});
        parameters_.declare("gamma", {columns});
        parameters_.allocate();
        testing::fill_random(parameters_.values().as<double>(), parameters_.count(), 5);
        testing::fill_random(cotangent_.data(), rows * columns, 6);
        for (std::int32_t n = 0; n < rows; ++n) row_numbers_.push_back(n);
    }

    Var parameter(Tape& tape, const char* name) { return tape.parameter(*parameters_.find(name)); }
    Var start(Tape& tape) { return linear(tape, parameter(tape, "start"), parameter(tape, "weight")); }
    Var block(Tape& tape, Var query, Var source) {
        const Tensor numbers(row_numbers_.data(), {rows}, DType::int32);
        const Var x = linear_gelu(tape, source, parameter(tape, "weight"), parameter(tape, "bias"));
        return layer_norm(tape, x, query, parameter(tape, "gamma"), parameter(tape, "bias"), 1e-5,
                          {.probability = 0.4F, .seed = 1, .site = 2, .step = 3}, {numbers, numbers});
    }
    Var maybe_recomputed(Tape& tape, Var query, Var source, bool recomputes) {
        if (!recomputes) return block(tape, query, source);
        return recompute(tape, std::array{query, source},
                         [this](Tape& inner, const std::array<Var, 2>& in) { return block(inner, in[0], in[1]); });
    }
    void backward(Tape& tape, Var y) { tape.backward(y, Tensor(cotangent_.data(), {rows, columns}, DType::float64)); }
    // Of the output and of all gradients, which are cleared.
    std::vector<double> take_results(const std::vector<double>& output) {
        std::vector<double> results = output;
        const double* const gradients = parameters_.gradients().as<double>();
        results.insert(results.end(), gradients, gradients + parameters_.count());
        parameters_.zero_gradients();
        return results;
    }

private:
    Parameters parameters_{DType::float64};
    std::vector<double> cotangent_ = std::vector<double>(rows * columns);
    std::vector<std::int32_t> row_numbers_;
};

std::vector<double> values_of(Var y) { return {y.value().as<double>(), y.value().as<double>() + y.value().count()}; }

bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
}

TEST(Recompute, KeepsEveryBitOfAChain) {
    Blocks blocks;
    std::vector<std::vector<double>> results;
    for (const bool recomputes : {false, true}) {
        Arena arena;
        Tape tape(arena);
        Var x = blocks.start(tape);
        for (int n = 0; n < 3; ++n) x = blocks.maybe_recomputed(tape, x, x, recomputes);
        const std::vector<double> output = values_of(x);
        blocks.backward(tape, x);
        results.push_back(blocks.take_results(output));
    }
    EXPECT_TRUE(same_bits(results[0], results[1]));
    EXPECT_NE(results[0].back(), 0.0);
}

// Sums of three and more contributions, which would show another order.
TEST(Recompute, KeepsEveryBitWhereInputsHaveOtherConsumersBeforeAndAfter) {
    Blocks blocks;
    std::vector<std::vector<double>> results;
    for (const bool recomputes : {false, true}) {
        Arena arena;
        Tape tape(arena);
        const Var x = blocks.start(tape), before = blocks.block(tape, x, x);
        const Var first = blocks.maybe_recomputed(tape, before, x, recomputes);
        const Var second = blocks.maybe_recomputed(tape, first, x, recomputes);
        const Var after = blocks.block(tape, second, x);
        const std::vector<double> output = values_of(after);
        blocks.backward(tape, after);
        results.push_back(blocks.take_results(output));
    }
    EXPECT_TRUE(same_bits(results[0], results[1]));
}

TEST(Recompute, AfterTheForwardPassOnlyValuesAreLeft) {
    Blocks blocks;
    std::vector<std::size_t> grown;
    for (const bool recomputes : {false, true}) {
        Arena arena;
        Tape tape(arena);
        Var x = blocks.start(tape);
        const std::size_t before = arena.used();
        for (int n = 0; n < 4; ++n) x = blocks.maybe_recomputed(tape, x, x, recomputes);
        grown.push_back(arena.used() - before);
    }
    EXPECT_LT(grown[1], 4 * (rows * columns * sizeof(double) + 1024));  // the value, its node and its closure
    EXPECT_LT(grown[1], grown[0] / 2);
}

TEST(Recompute, GivesAllMemoryBackAndAsksForNoneOnceStepsRepeat) {
    Blocks blocks;
    Arena arena;
    std::vector<std::size_t> growths;
    for (int step = 0; step < 3; ++step) {
        Tape tape(arena);
        Var x = blocks.start(tape);
        for (int n = 0; n < 3; ++n) x = blocks.maybe_recomputed(tape, x, x, true);
        blocks.backward(tape, x);
        EXPECT_EQ(arena.used(), 0U);
        growths.push_back(arena.growths());
    }
    EXPECT_EQ(growths[0], growths[2]);
}

TEST(Recompute, WithoutRecordingRunsTheFunctionOnce) {
    Blocks blocks;
    Arena arena;
    Tape tape(arena);
    tape.set_recording(false);
    const Var x = blocks.start(tape);
    int runs = 0;
    int* const counter = &runs;
    const Var y = recompute(tape, std::array{x}, [&blocks, counter](Tape& inner, const std::array<Var, 1>& in) {
        ++*counter;
        return blocks.block(inner, in[0], in[0]);
    });
    EXPECT_EQ(runs, 1);
    EXPECT_TRUE(same_bits(values_of(y), values_of(blocks.block(tape, x, x))));
}

TEST(Recompute, AnErrorInTheSecondRunLeavesNoMemoryBehind) {
    Blocks blocks;
    Arena arena;
    {
        Tape tape(arena);
        int runs = 0;
        int* const counter = &runs;
        const Var x = blocks.start(tape),
                  y = recompute(tape, std::array{x}, [&blocks, counter](Tape&inner, const std::array<Var, 1>&in) {
                      const Var inside = blocks.block(inner, in[0], in[0]);
                      if (++*counter == 2) throw std::runtime_error("out of luck");
                      return inside;
                  });
        const Var z = blocks.block(tape, y, x);  // so that x has a gradient when y's block is run again
        EXPECT_THROW(blocks.backward(tape, z), std::runtime_error);
    }
    EXPECT_EQ(arena.used(), 0U);
}

TEST(Recompute, AParameterIsNoInput) {
    Blocks blocks;
    Arena arena;
    Tape tape(arena);
    const Var y = blocks.maybe_recomputed(tape, blocks.parameter(tape, "start"), blocks.start(tape), true);
    EXPECT_THROW(blocks.backward(tape, y), std::logic_error);
}

}  // namespace
}  // namespace locus
