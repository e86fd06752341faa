// Whose gradients of the terms attention on tensor cores adds up, and what memory that takes. That they are right: attention_fused_test.cpp.

#define LOCUS_TARGET simt
#include <gtest/gtest.h>

#include <vector>

#include "kernels/attention_fused.h"
#include "tests/kernels/attention_problem.h"

namespace locus::test {
namespace {

std::vector<std::int32_t> regular_sequences(Positions positions) {
    AttentionSetup setup;
    setup.k_lengths = {70, 150, 0, 130, 1};
    setup.key_table = true;
    setup.positions = positions;
    const AttentionProblem<float> problem(setup, Device::simt);
    std::vector<std::int32_t> regular(setup.k_lengths.size(), -1);
    simt::mark_regular_sequences(problem.backward, regular.data());
    return regular;
}

// Otherwise the tests of the gradients could be tests of the plain kernel, which does the others.
TEST(AttentionFusedTerms, SequencesThatRunOnAreRegular) {
    using Marks = std::vector<std::int32_t>;
    EXPECT_EQ(regular_sequences(Positions::run_on), Marks({1, 1, 1, 1, 1}));
    EXPECT_EQ(regular_sequences(Positions::mixed), Marks({1, 0, 1, 0, 1}));
    EXPECT_EQ(regular_sequences(Positions::far_queries), Marks({0, 0, 1, 0, 0}));
}

/// What DeBERTa-base asks for: 12 heads of 64, two tables of 512 rows.
AttentionBackward deberta(std::int64_t sequences, std::int64_t length) {
    static float anything = 0;
    const auto tensor = [](Shape shape, DType dtype) { return Tensor(&anything, shape, dtype, Device::simt); };
    AttentionBackward args;
    args.q = args.k = tensor({sequences * length, 12, 64}, DType::bfloat16);
    args.q_rows = {tensor({sequences + 1}, DType::int32), tensor({sequences * length}, DType::int32), length};
    args.k_rows = args.q_rows;
    const Tensor rows = tensor({12, 512, 64}, DType::float32);
    args.terms.key_table = args.terms.query_table = {rows, tensor({1023}, DType::int32)};
    args.dterms.key_table = args.dterms.query_table = rows;
    return args;
}

simt::FusedTerms plan_of_deberta(std::int64_t sequences, std::int64_t length) {
    return simt::plan_fused_terms(deberta(sequences, length));
}

TEST(AttentionFusedTerms, MemoryIsLinearInTheLength) {
    constexpr std::int64_t mebibyte = std::int64_t{1} << 20U;
    const std::int64_t of_16k = plan_of_deberta(1, 16384).end, of_32k = plan_of_deberta(1, 32768).end;
    EXPECT_NEAR(static_cast<double>(of_32k) / static_cast<double>(of_16k), 2.0, 0.01);
    EXPECT_LT(of_16k * 4, 512 * mebibyte);
    EXPECT_LT(plan_of_deberta(32, 512).end * 4, 128 * mebibyte);
    EXPECT_EQ(plan_of_deberta(64, 512).end, plan_of_deberta(32, 512).end + 32);  // and a mark for each sequence
}

TEST(AttentionFusedTerms, NeedNothingWhenNobodyAsks) {
    AttentionBackward args = deberta(2, 64);
    args.dterms = {};
    EXPECT_EQ(simt::plan_fused_terms(args).end, 0);
}

}  // namespace
}  // namespace locus::test
