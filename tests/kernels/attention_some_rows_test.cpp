// Queries that are only some rows of their sequences, in slots: which sequences become regular, and that slots change nothing. That the results are right:
// attention_fused_test.cpp.

#define LOCUS_TARGET simt
#include "kernels/attention_some_rows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/attention_fused.h"
#include "tests/kernels/attention_problem.h"
#include "tests/kernels/attention_results.h"

namespace locus::test {
namespace {

AttentionSetup some_rows(Positions positions) {
    AttentionSetup setup = small_everything("some rows");
    setup.channels = 0;
    setup.k_lengths = {70, 150, 0, 130, 66};
    setup.without_queries = 4;
    setup.head_dim = 32;
    setup.heads = 1;
    setup.positions = positions;
    return setup;
}

using Marks = std::vector<std::int32_t>;

Marks regular_sequences(const AttentionBackward& args) {
    Marks regular(static_cast<std::size_t>(args.q_rows.offsets.count() - 1), -1);
    simt::mark_regular_sequences(args, regular.data());
    return regular;
}

Marks regular_in_slots(const AttentionBackward& args) {
    Marks regular;
    simt::with_queries_in_slots(args, [&](const AttentionBackward& slotted) { regular = regular_sequences(slotted); });
    return regular;
}

TEST(AttentionSomeRows, AreRegularInSlots) {
    const AttentionProblem<float> problem(some_rows(Positions::subset), Device::simt);
    EXPECT_EQ(regular_sequences(problem.backward), Marks({0, 0, 1, 0, 1}));
    EXPECT_EQ(regular_in_slots(problem.backward), Marks({1, 1, 1, 1, 1}));
}

TEST(AttentionSomeRows, StayAsTheyAreWhereKeysDoNotRunOn) {
    const AttentionProblem<float> problem(some_rows(Positions::mixed_subset), Device::simt);
    EXPECT_EQ(regular_in_slots(problem.backward), Marks({1, 0, 1, 0, 1}));
}

/// Of nine queries and nine keys that run on, but for two queries.
Marks regular_with(std::int32_t fourth, std::int32_t last) {
    AttentionSetup setup = some_rows(Positions::run_on);
    setup.k_lengths = {9};
    setup.without_queries = -1;
    const AttentionProblem<float> problem(setup, Device::simt);
    problem.backward.q_rows.positions.as<std::int32_t>()[3] = fourth;
    problem.backward.q_rows.positions.as<std::int32_t>()[8] = last;
    return regular_in_slots(problem.backward);
}

TEST(AttentionSomeRows, StayAsTheyAreWhereTheyDoNotRiseAmongTheKeys) {
    EXPECT_EQ(regular_with(3, 8), Marks({1}));
    EXPECT_EQ(regular_with(3, 9), Marks({0})) << "behind the keys";
    EXPECT_EQ(regular_with(-1, 8), Marks({0})) << "before the keys";
    EXPECT_EQ(regular_with(2, 8), Marks({0})) << "twice at one position";
    EXPECT_EQ(regular_with(5, 8), Marks({0})) << "falling";
}

// Equal to the bit: the plain kernel has nothing left to do.
TEST(AttentionSomeRows, GetAllTheirGradientsOnTensorCores) {
    const AttentionSetup setup = some_rows(Positions::subset);
    AttentionProblem<float> whole(setup, Device::simt), fused(setup, Device::simt);
    for (AttentionProblem<float>* problem : {&whole, &fused}) {
        problem->forward.bfloat16 = problem->backward.bfloat16 = true;
        attention_forward(problem->forward);
    }
    attention_backward(whole.backward);
    simt::with_queries_in_slots(fused.backward, simt::attention_fused_backward);
    EXPECT_TRUE(results(whole) == results(fused));
}

TEST(AttentionSomeRows, MayBeNone) {
    AttentionSetup setup = some_rows(Positions::subset);
    setup.k_lengths = {66};
    setup.without_queries = 0;
    AttentionProblem<float> problem(setup, Device::simt);
    problem.forward.bfloat16 = problem.backward.bfloat16 = true;
    const std::vector<double> of_table = elements(problem.backward.dterms.key_table);
    attention_forward(problem.forward);
    attention_backward(problem.backward);
    const std::vector<double> zeros(66 * 32, 0.0);
    EXPECT_EQ(elements(problem.backward.dk), zeros);
    EXPECT_EQ(elements(problem.backward.dvalue), zeros);
    EXPECT_EQ(elements(problem.backward.dterms.key_table), of_table);
}

// The score of an empty slot is that of a query of zeros, whose exponential may be more than float32 holds.
TEST(AttentionSomeRows, DoNotLetEmptySlotsOverflow) {
    AttentionProblem<float> problem(some_rows(Positions::subset), Device::simt);
    problem.forward.bfloat16 = problem.backward.bfloat16 = true;
    const Tensor& bias = problem.forward.terms.biases[0];
    for (std::int64_t n = 0; n < bias.count(); ++n) bias.as<float>()[n] += 200;
    attention_forward(problem.forward);
    attention_backward(problem.backward);
    for (const std::vector<double>& all : results(problem))
        for (const double x : all) ASSERT_TRUE(std::isfinite(x));
}

TEST(AttentionSomeRows, AddToOneGradientForListsOfChannelsThatShareIt) {
    AttentionSetup setup = some_rows(Positions::subset);
    setup.channels = 3, setup.channel_counts = {3, 3, 3};
    AttentionProblem<float> plain(setup, Device::simt), slotted(setup, Device::simt);
    for (AttentionProblem<float>* problem : {&plain, &slotted}) {
        for (AttentionTerms* terms : {&problem->forward.terms, &problem->backward.terms})
            terms->channels[2].query = terms->channels[0].query;
        problem->backward.dterms.channels[2].query = problem->backward.dterms.channels[0].query;
        attention_forward(problem->forward);
    }
    attention_backward(plain.backward);
    simt::with_queries_in_slots(slotted.backward, [](const AttentionBackward& args) { attention_backward(args); });
    for (const std::size_t n : {0, 1})
        EXPECT_TRUE(close("gradient of query channels", slotted.backward.dterms.channels[n].query,
                          plain.backward.dterms.channels[n].query, 1e-6, 1e-5));
}

TEST(AttentionSomeRows, GiveInSlotsWhatTheyGiveWithoutThem) {
    AttentionSetup setup = some_rows(Positions::mixed_subset);
    setup.channels = 2;
    for (const bool accumulate : {false, true}) {
        setup.accumulate = accumulate;
        AttentionProblem<float> plain(setup, Device::simt), slotted(setup, Device::simt);
        attention_forward(plain.forward);
        attention_backward(plain.backward);
        simt::with_queries_in_slots(slotted.forward, [](const AttentionForward& args) { attention_forward(args); });
        simt::with_queries_in_slots(slotted.backward, [](const AttentionBackward& args) { attention_backward(args); });
        EXPECT_TRUE(close("out", slotted.forward.out, plain.forward.out, 0.0, 1e-5));
        expect_same_log_sum_exp(slotted.forward.log_sum_exp, plain.forward.log_sum_exp, 1e-6);
        const auto got = slotted.differentiable(), expected = plain.differentiable();
        for (std::size_t n = 0; n < got.size(); ++n)
            EXPECT_TRUE(
                close("gradient of " + got[n].first, got[n].second.second, expected[n].second.second, 1e-6, 1e-5));
        EXPECT_EQ(slotted.arena.used(), 0U);
    }
}

}  // namespace
}  // namespace locus::test
