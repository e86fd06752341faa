#include "train/phase_table.h"

#include <gtest/gtest.h>

namespace locus {
namespace {

// 100 GFLOP/s and 10 GB/s: a product of 2 GFLOP may take 20 ms, 50 MB may take 5 ms.
ClockedStep step_of(double attention_seconds, double adamw_seconds) {
    ClockedStep step = {.work = {}, .peak_gflops = 100, .copy_gigabytes = 10};
    step.work.at(Phase::attention, Pass::backward) = {attention_seconds, {.flops = 2e9, .bytes = 50e6}};
    step.work.at(Phase::adamw, Pass::update) = {adamw_seconds, {.bytes = 100e6}};
    step.work.at(Phase::rest, Pass::update).seconds = 0.001;
    return step;
}

TEST(PhaseTable, TheSlowerOfTheTwoCeilingsIsTheLimit) {
    const std::vector<PhaseRow> rows = phase_rows({step_of(0.040, 0.020)}, 0.061);
    ASSERT_EQ(rows.size(), 3U);
    EXPECT_EQ(rows[0].phase, "attention");
    EXPECT_EQ(rows[0].pass, "backward");
    EXPECT_EQ(rows[0].limit, "multiply-adds");
    EXPECT_DOUBLE_EQ(rows[0].allowed_seconds, 0.020);
    EXPECT_DOUBLE_EQ(rows[0].reached, 0.5);
    EXPECT_EQ(rows[1].phase, "AdamW");
    EXPECT_EQ(rows[1].limit, "memory");
    EXPECT_DOUBLE_EQ(rows[1].allowed_seconds, 0.010);
    EXPECT_DOUBLE_EQ(rows[1].reached, 0.5);
    EXPECT_EQ(rows[2].phase, "the rest");
    EXPECT_EQ(rows[2].limit, "");
    EXPECT_NEAR(rows[2].seconds, 0.001, 1e-12);
}

TEST(PhaseTable, MediansAndTheRestAddUpToTheStep) {
    const std::vector<PhaseRow> rows = phase_rows({step_of(1, 30), step_of(20, 3), step_of(10, 2)}, 16);
    ASSERT_EQ(rows.size(), 3U);
    EXPECT_DOUBLE_EQ(rows[0].seconds, 10);
    EXPECT_DOUBLE_EQ(rows[1].seconds, 3);
    EXPECT_DOUBLE_EQ(rows[2].seconds, 3);
    EXPECT_DOUBLE_EQ(rows[0].share + rows[1].share + rows[2].share, 1);
}

TEST(PhaseTable, EachStepIsComparedWithItsOwnSeconds) {
    ClockedStep slow = step_of(0.080, 0.040);  // a neighbour took half of the machine
    slow.peak_gflops /= 2;
    slow.copy_gigabytes /= 2;
    const std::vector<PhaseRow> rows = phase_rows({step_of(0.040, 0.020), slow}, 0.09);
    EXPECT_DOUBLE_EQ(rows[0].reached, 0.5);
    EXPECT_DOUBLE_EQ(rows[1].reached, 0.5);
}

TEST(PhaseTable, MoreThanTheCeilingIsShownAsItIs) {
    const std::string text = phase_text(phase_rows({step_of(0.008, 0.005)}, 0.014));
    EXPECT_NE(text.find("250%"), std::string::npos) << text;
    EXPECT_NE(text.find("200%"), std::string::npos) << text;
}

TEST(Median, TakesTheMiddle) {
    EXPECT_EQ(median({}), 0);
    EXPECT_EQ(median({3, 1, 2}), 2);
    EXPECT_EQ(median({4, 1, 2, 3}), 2.5);
}

}  // namespace
}  // namespace locus
