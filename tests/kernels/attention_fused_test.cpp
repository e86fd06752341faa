// Attention on tensor cores against the textbook. The operands are 64ths, so that bfloat16 holds them, and their sums with u and v, exactly: what is
// left is the rounding of probabilities and of what flows back.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <deque>
#include <functional>

#include "kernels/attention.h"
#include "kernels/simt.h"
#include "tests/kernels/attention_problem.h"
#include "tests/kernels/attention_results.h"
#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

void deberta(AttentionSetup& s) { s.key_table = s.query_table = true; }

void everything(AttentionSetup& s) {
    s.key_table = s.query_table = s.value_table = s.content_bias = s.position_bias = true;
    s.biases = 2;
}

/// Lengths around those of tiles, and a sequence that none of the queries is in.
void some_rows(AttentionSetup& s) {
    s.positions = Positions::subset, s.k_lengths = {1, 63, 64, 65, 70, 0, 200, 1}, s.without_queries = 4;
    s.heads = 1, s.reach = 90, s.knows_longest = true;
}

void tupe(AttentionSetup& s) {
    s.channels = 3, s.channel_counts = {64, 1, 1};
    s.biases = 1;
}

std::vector<AttentionSetup> setups() {
    std::vector<AttentionSetup> all;
    const auto add = [&](const char* name, auto change) {
        AttentionSetup setup;
        setup.name = name;
        setup.k_lengths = {17, 0, 81};
        setup.head_dim = 32;
        setup.reach = 40;
        setup.scale = 0.3;
        setup.dropout = 0.1F;
        change(setup);
        all.push_back(setup);
    };
    add("Plain", [](AttentionSetup& s) { s.dropout = 0.0F; });
    add("PlainWithDropout", [](AttentionSetup&) {});
    add("KeyTable", [](AttentionSetup& s) { s.key_table = true; });
    add("QueryTable", [](AttentionSetup& s) { s.query_table = true; });
    add("ValueTable", [](AttentionSetup& s) { s.value_table = true; });
    add("ContentBias", [](AttentionSetup& s) { s.content_bias = true; });
    add("KeyTableAndPositionBias", [](AttentionSetup& s) { s.key_table = s.position_bias = true; });
    add("FourBiases", [](AttentionSetup& s) { s.biases = 4; });
    add("DebertaSharedTables", [](AttentionSetup& s) { s.key_table = s.query_table = s.shared_tables = true; });
    add("EverythingShared", [](AttentionSetup& s) { everything(s), s.shared_tables = true; });
    add("EverythingUnclamped", [](AttentionSetup& s) { everything(s), s.reach = 130; });
    add("EverythingStronglyClamped", [](AttentionSetup& s) { everything(s), s.reach = 0; });
    add("EverythingScattered", [](AttentionSetup& s) { everything(s), s.positions = Positions::scattered; });
    add("EverythingSubset", [](AttentionSetup& s) { everything(s), s.positions = Positions::subset; });
    add("EverythingFarQueries", [](AttentionSetup& s) { everything(s), s.positions = Positions::far_queries; });
    add("EverythingInAWindow", [](AttentionSetup& s) { everything(s), s.window = 9; });
    add("EverythingScatteredInAWindow",
        [](AttentionSetup& s) { everything(s), s.window = 9, s.positions = Positions::scattered; });
    add("PlainInAWindowAcrossTiles", [](AttentionSetup& s) { s.window = 30, s.k_lengths = {200, 5}; });
    add("WindowThatSeesNothing", [](AttentionSetup& s) { s.window = 5, s.positions = Positions::far_queries; });
    add("EverythingWithSequenceScale", [](AttentionSetup& s) { everything(s), s.sequence_scale = true; });
    add("ColumnsOfOneProduct", [](AttentionSetup& s) { everything(s), s.fused_product = true; });
    add("Accumulate", [](AttentionSetup& s) { everything(s), s.accumulate = true; });
    add("EverythingAroundTiles", [](AttentionSetup& s) { everything(s), s.k_lengths = {1, 33, 64, 65}; });
    add("EverythingOverSomeTiles", [](AttentionSetup& s) {
        everything(s), s.k_lengths = {130, 257}, s.heads = 1, s.reach = 70;
    });
    add("EverythingMixed", [](AttentionSetup& s) {
        everything(s), s.positions = Positions::mixed, s.k_lengths = {17, 70, 81, 5};
    });
    add("ContentAndPositionBiasAlone",
        [](AttentionSetup& s) { s.key_table = s.content_bias = s.position_bias = true; });
    add("LongestIsKnown", [](AttentionSetup& s) { everything(s), s.knows_longest = true; });
    add("MoreSequencesThanGroups", [](AttentionSetup& s) {
        everything(s), s.knows_longest = true, s.k_lengths = std::vector<int>(70, 3), s.heads = 1, s.dropout = 0.0F;
    });
    add("GroupsOfSequencesOfSomeTiles", [](AttentionSetup& s) {
        deberta(s), s.biases = 1, s.knows_longest = true, s.heads = 1;
        s.k_lengths = {520, 70, 65, 1, 64, 129, 3, 130, 66};
    });
    add("SomeRows", [](AttentionSetup& s) { everything(s), some_rows(s); });
    add("SomeRowsOfHeadDim64", [](AttentionSetup& s) { everything(s), some_rows(s), s.head_dim = 64, s.scale = 0.1; });
    add("SomeRowsOfHeadDim128",
        [](AttentionSetup& s) { everything(s), some_rows(s), s.head_dim = 128, s.scale = 0.06; });
    add("SomeRowsInBuckets", [](AttentionSetup& s) { deberta(s), some_rows(s), s.buckets = 12, s.heads = 2; });
    // Without dropout: what the rounding of P leaves of the dS of a lone key, which is 0, would be as large as the small gradients of k here.
    add("SomeRowsAndBiasesOnly", [](AttentionSetup& s) { some_rows(s), s.biases = 2, s.dropout = 0.0F; });
    add("SomeRowsWithSequenceScale", [](AttentionSetup& s) { everything(s), some_rows(s), s.sequence_scale = true; });
    add("SomeRowsInAWindow", [](AttentionSetup& s) { everything(s), some_rows(s), s.window = 30; });
    add("SomeRowsInAWindowAlone", [](AttentionSetup& s) { some_rows(s), s.window = 30; });
    add("SomeRowsAccumulate", [](AttentionSetup& s) { everything(s), some_rows(s), s.accumulate = true; });
    add("SomeRowsOfOneProduct",
        [](AttentionSetup& s) { everything(s), some_rows(s), s.fused_product = true, s.heads = 2; });
    add("SomeRowsMixed", [](AttentionSetup& s) { everything(s), some_rows(s), s.positions = Positions::mixed_subset; });
    add("SomeRowsOfUnknownLength", [](AttentionSetup& s) {
        everything(s), s.positions = Positions::subset, s.k_lengths = {70, 33}, s.dropout = 0.0F;
    });
    add("Buckets", [](AttentionSetup& s) { deberta(s), s.buckets = 12, s.reach = 90, s.k_lengths = {17, 0, 150}; });
    add("Length1024InBuckets", [](AttentionSetup& s) {
        deberta(s), s.buckets = 64, s.reach = 600, s.k_lengths = {1024}, s.heads = 1, s.knows_longest = true;
    });
    add("Length2048InAWindow", [](AttentionSetup& s) {
        deberta(s), s.biases = 1, s.window = 40, s.k_lengths = {2048}, s.heads = 1, s.knows_longest = true;
    });
    add("DebertaOfHeadDim64", [](AttentionSetup& s) { deberta(s), s.head_dim = 64, s.scale = 0.1; });
    add("DebertaOfHeadDim128", [](AttentionSetup& s) { deberta(s), s.head_dim = 128, s.scale = 0.06, s.heads = 1; });
    add("OneListOfChannels", [](AttentionSetup& s) { s.channels = 1, s.channel_counts = {32, 0, 0}; });
    add("TupeWithOddLengths", [](AttentionSetup& s) {
        tupe(s), s.head_dim = 64, s.scale = 0.08, s.heads = 1, s.k_lengths = {1, 63, 64, 65, 130};
    });
    add("TupeOfHeadDim128",
        [](AttentionSetup& s) { tupe(s), s.head_dim = 128, s.channel_counts[0] = 128, s.scale = 0.04, s.heads = 1; });
    add("EverythingAndChannels", [](AttentionSetup& s) { everything(s), s.channels = 3; });
    add("EverythingAndMoreChannelsThanAHeadHas", [](AttentionSetup& s) {
        everything(s), s.channels = 3, s.channel_counts = {70, 17, 36}, s.scale = 0.15;
    });
    add("EverythingAndChannelsAroundTiles", [](AttentionSetup& s) {
        everything(s), s.channels = 3, s.channel_counts = {31, 16, 8}, s.k_lengths = {1, 63, 64, 65, 130}, s.heads = 1,
                       s.scale = 0.2;
    });
    add("EverythingAndChannelsMixed", [](AttentionSetup& s) {
        everything(s), s.channels = 2, s.positions = Positions::mixed, s.k_lengths = {17, 70, 81, 5},
                       s.sequence_scale = true;
    });
    add("EverythingAndChannelsSubsetInAWindow",
        [](AttentionSetup& s) { everything(s), s.channels = 2, s.positions = Positions::subset, s.window = 9; });
    add("ChannelsAsColumnsOfAProduct", [](AttentionSetup& s) {
        tupe(s), s.fused_product = true, s.channel_counts = {32, 5, 2};
    });
    add("HeadDim64", [](AttentionSetup& s) { everything(s), s.head_dim = 64, s.scale = 0.1; });
    add("HeadDim128", [](AttentionSetup& s) { everything(s), s.head_dim = 128, s.scale = 0.06, s.heads = 1; });
    return all;
}

/// All that goes in, with steps of 1/64.
void round_inputs(const Tensor& x) {
    for (std::int64_t row = 0; row < x.shape[0]; ++row) {
        const Tensor rest = x.slice(0, row, row + 1);
        for (std::int64_t m = 0; m < x.shape[1]; ++m)
            for (std::int64_t c = 0; c < (x.shape.rank() == 3 ? x.shape[2] : 1); ++c) {
                const std::int64_t at = m * x.strides[1] + c;
                if (x.dtype == DType::float64)
                    rest.as<double>()[at] = std::round(64 * rest.as<double>()[at]) / 64;
                else
                    rest.as<float>()[at] = std::round(64 * rest.as<float>()[at]) / 64;
            }
    }
}

template <class T>
void round_inputs(AttentionProblem<T>& problem) {
    for (const auto& one : problem.differentiable()) round_inputs(one.second.first);
    round_inputs(problem.backward.dout);
    problem.forward.bfloat16 = problem.backward.bfloat16 = true;
}

/// Of gradients: where all distances share a row, the sum of dS over the keys is 0, and what is left of it nothing but rounding.
double tolerance_of(const AttentionSetup& setup) {
    return setup.reach == 0 || setup.positions == Positions::far_queries ? 1e-2 : 5e-3;
}

class AttentionFused : public ::testing::TestWithParam<AttentionSetup> {};

TEST_P(AttentionFused, EqualsTheTextbook) {
    AttentionProblem<double> expected(GetParam());
    round_inputs(expected);
    attention_reference_forward(expected.forward);
    attention_reference_backward(expected.backward);
    on_each_gpu([&] {
        AttentionProblem<float> got(GetParam(), OnDevice::current());
        round_inputs(got);
        attention_forward(got.forward);
        attention_backward(got.backward);
        EXPECT_TRUE(close("out", got.forward.out, expected.forward.out, 1e-9, 3e-3));
        expect_same_log_sum_exp(got.forward.log_sum_exp, expected.forward.log_sum_exp, 1e-5);
        const auto all = got.differentiable(), wanted = expected.differentiable();
        for (std::size_t n = 0; n < all.size(); ++n)
            EXPECT_TRUE(close("gradient of " + all[n].first, all[n].second.second, wanted[n].second.second, 1e-9,
                              tolerance_of(GetParam())));
        EXPECT_EQ(got.arena.used(), 0U);
    });
}

INSTANTIATE_TEST_SUITE_P(Setups, AttentionFused, ::testing::ValuesIn(setups()),
                         [](const auto& info) { return info.param.name; });

// Plain kernels do not round what they may round. If they do what is right, the tests above tell.
bool is_taken(const AttentionSetup& setup, const std::function<void(AttentionForward&)>& change) {
    AttentionProblem<float> rounded(setup, OnDevice::current()), exact(setup, OnDevice::current());
    rounded.forward.bfloat16 = true;
    change(rounded.forward);
    change(exact.forward);
    attention_forward(rounded.forward);
    attention_forward(exact.forward);
    EXPECT_TRUE(close("out", rounded.forward.out, exact.forward.out, 0.0, 1e-2));
    return elements(rounded.forward.out) != elements(exact.forward.out);
}

AttentionSetup some_keys(std::int64_t head_dim) {
    AttentionSetup setup;
    setup.k_lengths = {50};
    setup.head_dim = head_dim;
    return setup;
}

// Otherwise the tests above could compare the plain kernels.
TEST(AttentionFusedPath, IsTakenWhereOperandsMayBeRounded) {
    on_each_gpu([] {
        EXPECT_TRUE(is_taken(some_keys(32), [](AttentionForward&) {}));
        EXPECT_FALSE(is_taken(some_keys(20), [](AttentionForward&) {}));
        AttentionSetup with_channels = some_keys(32);
        with_channels.channels = 3;
        EXPECT_TRUE(is_taken(with_channels, [](AttentionForward&) {}));
    });
}

TEST(AttentionFusedPath, IsNotTakenWhereRowsBeginBetweenMultiplesOf16Bytes) {
    on_each_gpu([] {
        for (const std::int64_t offset : {2, 4}) {
            std::deque<Memory> memory;
            const auto move = [&](AttentionForward& forward) {
                const Tensor k = forward.k;
                memory.emplace_back(static_cast<std::size_t>(k.count() + offset) * sizeof(float));
                float* const moved = reinterpret_cast<float*>(memory.back().data()) + offset;
                std::copy_n(k.as<float>(), k.count(), moved);
                forward.k = Tensor(moved, k.shape, k.dtype, k.device);
            };
            EXPECT_EQ(is_taken(some_keys(32), move), offset == 4);
        }
    });
}

// As compute capability 8.6 and 8.9.
TEST(AttentionFusedPath, IsNotTakenWhereABlockHasTooLittleSharedMemory) {
    const OnDevice scope(Device::simt);
    simt::set_most_shared_bytes(std::size_t{99} << 10U);
    AttentionSetup with_tables = some_keys(128);
    with_tables.key_table = true;
    EXPECT_FALSE(is_taken(with_tables, [](AttentionForward&) {}));
    EXPECT_TRUE(is_taken(some_keys(128), [](AttentionForward&) {}));
    for (const std::int64_t head_dim : {64, 128}) {
        AttentionSetup setup = some_keys(head_dim);
        everything(setup);
        AttentionProblem<float> problem(setup, Device::simt);
        problem.forward.bfloat16 = problem.backward.bfloat16 = true;
        attention_forward(problem.forward);
        EXPECT_NO_THROW(attention_backward(problem.backward));
    }
    simt::set_most_shared_bytes(std::size_t{227} << 10U);
}

TEST(AttentionFusedPath, GivesTheSameBitsInAnyOrderOfThreads) {
    AttentionSetup setup;
    setup.k_lengths = {70, 3};
    setup.head_dim = 32;
    setup.dropout = 0.3F;
    setup.channels = 2;
    everything(setup);
    for (const Device device : gpus()) {
        std::vector<std::vector<double>> first;
        on_each_gpu([&] {
            if (OnDevice::current() != device) return;
            AttentionProblem<float> problem(setup, device);
            round_inputs(problem);
            attention_forward(problem.forward);
            attention_backward(problem.backward);
            if (first.empty()) first = results(problem);
            EXPECT_TRUE(results(problem) == first);
        });
    }
}

}  // namespace
}  // namespace locus::test
