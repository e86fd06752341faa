#include "kernels/score_decomposition.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/kernels/attention_problem.h"

namespace locus {
namespace {

using test::AttentionProblem;
using test::AttentionSetup;
using test::Positions;

constexpr double infinity = std::numeric_limits<double>::infinity();

double element(const Tensor& x, std::int64_t at) {
    return x.dtype == DType::float64 ? x.as<double>()[at] : x.as<float>()[at];
}

AttentionSetup everything(const std::string& name) {
    AttentionSetup setup;
    setup.name = name;
    setup.key_table = setup.query_table = setup.value_table = setup.content_bias = setup.position_bias = true;
    setup.biases = 3;
    setup.channels = 2;
    return setup;
}

std::vector<AttentionSetup> setups() {
    std::vector<AttentionSetup> all(8);
    all[0].name = "Plain";
    all[1] = everything("Everything");
    all[2] = everything("SharedTables");
    all[2].shared_tables = true;
    all[3] = everything("ScatteredInAWindow");
    all[3].positions = Positions::scattered;
    all[3].window = 4;
    all[4] = everything("FewerQueries");
    all[4].positions = Positions::subset;
    all[4].k_lengths = {12, 0, 9};
    all[5] = everything("SequenceScale");
    all[5].sequence_scale = true;
    all[6] = everything("WindowThatSeesNothing");
    all[6].positions = Positions::far_queries;
    all[6].window = 3;
    all[7] = everything("ColumnsOfOneProduct");
    all[7].fused_product = true;
    return all;
}

class ScoreDecomposition : public ::testing::TestWithParam<AttentionSetup> {};
INSTANTIATE_TEST_SUITE_P(Setups, ScoreDecomposition, ::testing::ValuesIn(setups()),
                         [](const auto& info) { return info.param.name; });

/// The summands of every query, put through the softmax, against what a whole attention computed.
void expect_adds_up(const AttentionForward& forward, double tolerance) {
    const std::int64_t heads = forward.q.shape[1], head_dim = forward.q.shape[2];
    ASSERT_GT(forward.q.shape[0], 0);
    for (std::int64_t row = 0; row < forward.q.shape[0]; ++row) {
        for (std::int64_t head = 0; head < heads; ++head) {
            const QueryDecomposition parts = decompose_score(forward, row, head);
            const double normaliser = element(forward.log_sum_exp, row * heads + head);
            double total = 0;
            for (std::size_t key = 0; key < parts.weights.size(); ++key) {
                double sum = 0;
                for (const ScoreSummand& summand : parts.summands) sum += summand.values.at(key);
                EXPECT_NEAR(parts.sum.at(key), sum, 1e-12);
                if (parts.score.at(key) == -infinity) {
                    EXPECT_EQ(parts.weights[key], 0);
                    continue;
                }
                EXPECT_NEAR(parts.score[key], parts.sequence_scale * sum, 1e-12);
                EXPECT_NEAR(parts.weights[key], std::exp(parts.score[key] - normaliser), tolerance);
                total += parts.weights[key];
            }
            if (normaliser == -infinity) {
                EXPECT_EQ(parts.log_sum_exp, -infinity);
            } else {
                EXPECT_NEAR(total, 1, 1e-12);
                EXPECT_NEAR(parts.log_sum_exp, normaliser, tolerance * (1 + std::abs(normaliser)));
            }
            for (std::int64_t c = 0; c < head_dim; ++c) {
                const auto at = static_cast<std::size_t>(c);
                const double out = parts.from_values.at(at) + (parts.from_table.empty() ? 0 : parts.from_table.at(at));
                EXPECT_NEAR(out, element(forward.out, (row * heads + head) * head_dim + c), 4 * tolerance);
            }
        }
    }
}

TEST_P(ScoreDecomposition, AddsUpToTheTextbook) {
    AttentionProblem<double> problem(GetParam());
    attention_reference_forward(problem.forward);
    expect_adds_up(problem.forward, 1e-12);
}

TEST_P(ScoreDecomposition, AddsUpToTheKernelInFloat32) {
    AttentionProblem<float> problem(GetParam());
    attention_forward(problem.forward);
    expect_adds_up(problem.forward, 1e-5);
}

TEST(ScoreDecompositionByHand, TellsTheTermsOfOneQueryApart) {
    // Query (1, 2) at position 1 of two tokens, scale 1/2, and every kind of term.
    std::vector<double> q = {9, 9, 1, 2}, k = {3, -1, 0, 4}, value = {1, 0, 0, 2}, u = {1, 1}, v = {0, 2};
    std::vector<double> key_table = {10, 0, 0, 10, 1, 1}, query_table = {1, 0, 2, 0, 3, 0},
                        value_table = {0, 0, 5, 0, 0, 7};
    std::vector<double> bias = {-1, 0.25, -2}, a = {0, 3}, b = {2, 4}, out(4), normaliser(2);
    std::vector<std::int32_t> offsets = {0, 2}, positions = {0, 1}, rows = {0, 1, 2};
    const auto vectors = [](std::vector<double>& x, Shape shape) { return Tensor(x.data(), shape, DType::float64); };
    const auto integers = [](std::vector<std::int32_t>& x) {
        return Tensor(x.data(), {static_cast<std::int64_t>(x.size())}, DType::int32);
    };
    const AttentionRows both = {integers(offsets), integers(positions)};
    AttentionForward forward = {.q = vectors(q, {2, 1, 2}),
                                .k = vectors(k, {2, 1, 2}),
                                .value = vectors(value, {2, 1, 2}),
                                .q_rows = both,
                                .k_rows = both,
                                .terms = {.scale = 0.5,
                                          .key_table = {vectors(key_table, {1, 3, 2}), integers(rows)},
                                          .query_table = {vectors(query_table, {1, 3, 2}), integers(rows)},
                                          .value_table = {vectors(value_table, {1, 3, 2}), integers(rows)},
                                          .content_bias = vectors(u, {1, 2}),
                                          .position_bias = vectors(v, {1, 2})},
                                .out = vectors(out, {2, 1, 2}),
                                .log_sum_exp = vectors(normaliser, {2, 1})};
    forward.terms.biases[0] = vectors(bias, {1, 3});
    forward.terms.channels[0] = {vectors(a, {2, 1, 1}), vectors(b, {2, 1, 1})};
    const QueryDecomposition parts = decompose_score(forward, 1, 0);
    // Key 0 is at distance 1, row 2 of the tables; key 1 at distance 0, row 1.
    EXPECT_EQ(parts.distances, (std::vector<std::int64_t>{1, 0}));
    ASSERT_EQ(parts.summands.size(), 7U);
    const auto expect = [&](std::size_t n, ScorePart part, std::vector<double> values) {
        EXPECT_EQ(parts.summands[n].part, part) << n;
        EXPECT_EQ(parts.summands[n].values, values) << n;
    };
    expect(0, ScorePart::content, {0.5, 4});               // (1, 2) . (3, -1) and . (0, 4), halved
    expect(1, ScorePart::content_bias, {1, 2});            // (1, 1) . the same
    expect(2, ScorePart::channels, {3, 6});                // 3 * 2, 3 * 4
    expect(3, ScorePart::content_to_position, {1.5, 10});  // (1, 2) . (1, 1) and . (0, 10)
    expect(4, ScorePart::position_bias, {1, 10});          // (0, 2) . the same
    expect(5, ScorePart::position_to_content, {4.5, 0});   // (3, -1) . (3, 0), (0, 4) . (2, 0)
    expect(6, ScorePart::bias, {-2, 0.25});
    EXPECT_EQ(parts.sum, (std::vector<double>{9.5, 32.25}));
    EXPECT_EQ(parts.score, parts.sum);
    const double other = std::exp(9.5 - 32.25);
    EXPECT_NEAR(parts.weights[0], other / (1 + other), 1e-18);
    EXPECT_NEAR(parts.from_values[1], 2 * parts.weights[1], 1e-15);
    EXPECT_NEAR(parts.from_table[0], 5 * parts.weights[1], 1e-15);
    EXPECT_NEAR(parts.from_table[1], 7 * parts.weights[0], 1e-15);
    EXPECT_NEAR(parts.added[1], std::sqrt(29.0) * parts.weights[1], 1e-14);  // (0, 2) + (5, 0)
}

TEST(ScoreDecompositionErrors, RefusesWhatIsNotThere) {
    AttentionSetup setup;
    AttentionProblem<double> problem(setup);
    const std::int64_t rows = problem.forward.q.shape[0];
    EXPECT_THROW(decompose_score(problem.forward, rows, 0), std::logic_error);
    EXPECT_THROW(decompose_score(problem.forward, -1, 0), std::logic_error);
    EXPECT_THROW(decompose_score(problem.forward, 0, setup.heads), std::logic_error);
    setup.dropout = 0.5F;
    AttentionProblem<double> dropped(setup);
    EXPECT_THROW(decompose_score(dropped.forward, 0, 0), std::logic_error);
}

}  // namespace
}  // namespace locus
