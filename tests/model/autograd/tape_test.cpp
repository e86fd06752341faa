// The tape's memory and its two rules.
#include "model/autograd/tape.h"

#include <gtest/gtest.h>

#include <vector>

#include "model/autograd/operations.h"
#include "tests/model/gradient_check.h"

namespace locus {
namespace {

struct TwoMatrices {
    Parameters parameters{DType::float64};
    TwoMatrices() {
        parameters.declare("x", {3, 4});
        parameters.declare("w", {4, 4});
        parameters.allocate();
        testing::fill_random(parameters.values().as<double>(), parameters.count(), 5);
    }
    // A chain of products, so that every node has a value to give back.
    Var chain(Tape& tape, int length) {
        Var x = tape.parameter(*parameters.find("x"));
        for (int n = 0; n < length; ++n) x = linear(tape, x, tape.parameter(*parameters.find("w")));
        return x;
    }
};

TEST(Tape, ParameterGradientsAddUpOverTwoBackwardPasses) {
    TwoMatrices m;
    Arena arena;
    std::vector<double> seed(12, 1.0), once(static_cast<std::size_t>(m.parameters.count()));
    const auto run = [&] {
        Tape tape(arena);
        tape.backward(m.chain(tape, 2), Tensor(seed.data(), {3, 4}, DType::float64));
    };
    run();
    const double* const gradient = m.parameters.gradients().as<double>();
    std::copy_n(gradient, once.size(), once.begin());
    run();
    for (std::size_t n = 0; n < once.size(); ++n) EXPECT_NEAR(gradient[n], 2 * once[n], 1e-14) << n;
    EXPECT_NE(once[0], 0.0);
}

TEST(Tape, BackwardGivesAllMemoryBack) {
    TwoMatrices m;
    Arena arena;
    std::vector<double> seed(12, 1.0);
    Tape tape(arena);
    const Var y = m.chain(tape, 3);
    EXPECT_GT(arena.used(), 0U);
    tape.backward(y, Tensor(seed.data(), {3, 4}, DType::float64));
    EXPECT_EQ(arena.used(), 0U);
}

TEST(Tape, AStepThatRepeatsAsksForNoMemory) {
    TwoMatrices m;
    Arena arena;
    std::vector<double> seed(12, 1.0);
    std::vector<std::size_t> growths;
    for (int step = 0; step < 4; ++step) {
        Tape tape(arena);
        tape.backward(m.chain(tape, 5), Tensor(seed.data(), {3, 4}, DType::float64));
        growths.push_back(arena.growths());
    }
    EXPECT_GT(growths[0], 0U);
    EXPECT_EQ(growths[0], growths[3]);
}

TEST(Tape, DiscardKeepsTheValueAndItsNode) {
    TwoMatrices m;
    Arena arena;
    Tape tape(arena);
    tape.set_recording(false);
    const Tape::Mark start = tape.mark();
    Var x = m.chain(tape, 1);
    tape.discard(start, x);
    const std::size_t one = arena.used();
    for (int n = 0; n < 10; ++n) {
        x = linear(tape, x, tape.parameter(*m.parameters.find("w")));
        tape.discard(start, x);
        EXPECT_LE(arena.used(), one) << n;
    }
    Tape plain(arena);
    const Var expected = m.chain(plain, 11);
    for (int n = 0; n < 12; ++n) EXPECT_EQ(x.value().as<double>()[n], expected.value().as<double>()[n]);
}

TEST(Parameters, LieInOrderAndJoin) {
    Parameters parameters(DType::float32);
    parameters.declare("a", {2, 3});
    parameters.declare("b", {1, 3});
    parameters.declare("c", {5});
    parameters.allocate();
    const Parameter both = joined(*parameters.find("a"), *parameters.find("b"));
    EXPECT_EQ(both.value.shape, (Shape{3, 3}));
    EXPECT_EQ(both.value.data, parameters.values().data);
    EXPECT_EQ(parameters.find("c")->value.as<float>(), parameters.values().as<float>() + 9);
    EXPECT_EQ(parameters.find("d"), nullptr);
    EXPECT_THROW(parameters.declare("a", {1}), std::logic_error);
}

TEST(Parameters, InitializeDrawsNormalNumbersAndKeepsThePaddingRowZero) {
    Parameters parameters(DType::float64);
    Parameter& words = parameters.declare("words", {200, 50});
    words.zero_row = 0;
    parameters.declare("gamma", {4}, Initialization::ones);
    parameters.declare("bias", {4}, Initialization::zeros);
    parameters.allocate();
    parameters.initialize(7, 0.02);
    const double* const w = words.value.as<double>();
    double mean = 0, square = 0;
    for (int n = 0; n < 50; ++n) EXPECT_EQ(w[n], 0.0);
    for (int n = 50; n < 10000; ++n) {
        mean += w[n] / 9950;
        square += w[n] * w[n] / 9950;
    }
    EXPECT_NEAR(mean, 0.0, 0.001);
    EXPECT_NEAR(std::sqrt(square), 0.02, 0.001);
    EXPECT_EQ(parameters.find("gamma")->value.as<double>()[3], 1.0);
    EXPECT_EQ(parameters.find("bias")->value.as<double>()[0], 0.0);
    const double first = w[60];
    parameters.initialize(8, 0.02);
    EXPECT_NE(w[60], first);
    parameters.initialize(7, 0.02);
    EXPECT_EQ(w[60], first);
}

}  // namespace
}  // namespace locus
