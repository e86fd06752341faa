#include "model/autograd/operation_cost.h"

#include <gtest/gtest.h>

#include <vector>

#include "model/autograd/operations.h"
#include "tests/model/gradient_check.h"

namespace locus {
namespace {

// A tape with a clock, and parameters to try operations on.
struct Clocked {
    Parameters parameters{DType::float64};
    Arena arena;
    StepClock clock;
    Tape tape{arena};

    Clocked() {
        parameters.declare("x", {3, 4});
        parameters.declare("w", {5, 4});
        parameters.declare("b", {5});
        parameters.allocate();
        testing::fill_random(parameters.values().as<double>(), parameters.count(), 5);
        clock.start();
        tape.set_clock(&clock);
    }
    Var operator[](const char* name) { return tape.parameter(*parameters.find(name)); }
    Cost cost(Phase phase, Pass pass) const { return clock.work().at(phase, pass).cost; }
};

void expect_cost(const Cost& cost, double flops, double bytes) {
    EXPECT_EQ(cost.flops, flops);
    EXPECT_EQ(cost.bytes, bytes);
}

TEST(OperationCost, AbsentTensorsMoveNothing) {
    Clocked c;
    expect_cost(moves(c["x"], Tensor(), Var(), c["b"]), 0, 8 * (12 + 5));
}

TEST(OperationCost, AProductIsOneOfTheSameSizeForwardAndTwoBackward) {
    Clocked c;
    c.tape.enter(Phase::feed_forward);
    const Var y = linear(c.tape, c["x"], c["w"]);
    const double x = 3 * 4, w = 5 * 4, out = 3 * 5, flops = 2 * 3 * 4 * 5;
    expect_cost(c.cost(Phase::feed_forward, Pass::forward), flops, 8 * (x + w + out));
    expect_cost(c.cost(Phase::feed_forward, Pass::backward), 2 * flops, 8 * (out + x + w + w + w + x));
    EXPECT_EQ(c.cost(Phase::attention, Pass::forward).bytes, 0);
    std::vector<double> seed(15, 1.0);
    c.tape.backward(y, Tensor(seed.data(), {3, 5}, DType::float64));
    c.clock.stop();
    EXPECT_GT(c.clock.work().at(Phase::feed_forward, Pass::backward).seconds, 0);
}

TEST(OperationCost, AConstantInputNeedsNoGradient) {
    Clocked c;
    c.tape.enter(Phase::feed_forward);
    linear(c.tape, c.tape.constant(c.parameters.find("x")->value), c["w"]);
    expect_cost(c.cost(Phase::feed_forward, Pass::backward), 2 * 3 * 4 * 5, 8 * (15 + 12 + 20 + 20));
}

TEST(OperationCost, ATapeThatDoesNotRecordHasNoWayBack) {
    Clocked c;
    c.tape.set_recording(false);
    c.tape.enter(Phase::feed_forward);
    linear(c.tape, c["x"], c["w"]);
    EXPECT_GT(c.cost(Phase::feed_forward, Pass::forward).flops, 0);
    expect_cost(c.cost(Phase::feed_forward, Pass::backward), 0, 0);
}

TEST(OperationCost, ARowOfATableIsReadOnceHoweverOftenItIsLookedUp) {
    Clocked c;
    std::vector<std::int32_t> ids = {0, 1, 2, 1, 1, 0, 0};
    c.tape.enter(Phase::embedding);
    embedding(c.tape, {{.table = c["x"], .ids = Tensor(ids.data(), {7}, DType::int32)}});
    expect_cost(c.cost(Phase::embedding, Pass::forward), 0, 8 * (12 + 7 * 4) + 4 * 7);
    expect_cost(c.cost(Phase::embedding, Pass::backward), 0, 8 * (12 + 12 + 7 * 4) + 4 * 7);
}

TEST(OperationCost, AttentionCountsThePairsWithinEachSequence) {
    testing::RaggedBatch batch({2, 5}, 9);
    Clocked c;
    Parameters parameters(DType::float64);
    const Parameter& qkv = parameters.declare("qkv", {7, 3 * 6});
    parameters.allocate();
    const Var source = c.tape.parameter(qkv);
    const double once = 2 * 2 * 6;  // q . k and p . v over the channels of all heads
    for (const auto& [window, pairs] : {std::pair{0, 4 + 25}, std::pair{1, 4 + 15}}) {
        AttentionScore score;
        score.dtype = DType::float64;
        score.window = window;
        c.clock.start();
        c.tape.enter(Phase::attention);
        attention(c.tape, {source, 0}, {source, 6}, {source, 12}, 2, 3, batch.input.rows, batch.input.rows, score);
        const double log_sum_exp = 7 * 2, all = 7 * 6;
        expect_cost(c.cost(Phase::attention, Pass::forward), once * pairs, 8 * (4 * all + log_sum_exp));
        expect_cost(c.cost(Phase::attention, Pass::backward), 2 * once * pairs, 8 * (8 * all + log_sum_exp));
    }
}

}  // namespace
}  // namespace locus
