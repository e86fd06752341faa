#include "train/comparison/step_plan.h"

#include <gtest/gtest.h>

#include <string>

#include "train/error.h"

namespace locus {
namespace {

/// Two blocks: 100 steps with models a, b and two seeds; 200 steps with model c and one.
Comparison small(std::int64_t minimum_steps = 10) {
    const std::string yaml =
        "compare: {minimum_steps: " + std::to_string(minimum_steps) +
        "}\n"
        "base: {data: {probe: {name: order, fillers: 6}, sequence_length: 12}, train: {evaluate_every: 0}}\n"
        "blocks:\n"
        "  first:\n"
        "    seeds: [1, 2]\n"
        "    base: {train: {steps: 100}}\n"
        "    runs: {a: {model: {position: rope}}, b: {model: {position: none}}}\n"
        "  second:\n"
        "    base: {train: {steps: 200}}\n"
        "    runs: {c: {model: {position: t5_bias}}}\n";
    return parse_comparison(yaml, "small.yaml");
}

const std::vector<RunSpeed> speeds = {{.per_step = 0.1}, {.per_step = 0.2}, {.per_step = 0.05}};
// Of one factor on one job: 2 * 100 * 0.1 + 2 * 100 * 0.2 + 200 * 0.05 = 70 seconds.

TEST(StepPlan, WithoutABudgetTheStepsAreAsConfigured) {
    const StepPlan plan = plan_as_configured(small());
    ASSERT_EQ(plan.models.size(), 3U);
    EXPECT_EQ(plan.models[0].steps, 100);
    EXPECT_EQ(plan.models[2].steps, 200);
    EXPECT_EQ(plan.budget, 0);
}

TEST(StepPlan, ABudgetScalesAllBlocksByOneFactorWithEqualStepsInside) {
    const double budget = 35 / 0.9;  // half of what the configuration asks for
    const StepPlan plan = plan_for_budget(small(), speeds, 1, budget, 0);
    EXPECT_NEAR(static_cast<double>(plan.models[0].steps), 50, 1);
    EXPECT_EQ(plan.models[0].steps, plan.models[1].steps);
    EXPECT_NEAR(static_cast<double>(plan.models[2].steps), 100, 1);
    EXPECT_LE(plan.seconds, 35 + 1e-9);
    EXPECT_GT(plan.seconds, 34);
}

TEST(StepPlan, ALargerBudgetTrainsLonger) {
    EXPECT_NEAR(static_cast<double>(plan_for_budget(small(), speeds, 1, 140 / 0.9, 0).models[0].steps), 200, 1);
}

TEST(StepPlan, MoreJobsAndLessTimeSpentOnMeasuringGiveMoreSteps) {
    const std::int64_t alone = plan_for_budget(small(), speeds, 1, 50, 0).models[0].steps;
    EXPECT_GT(plan_for_budget(small(), speeds, 2, 50, 0).models[0].steps, alone);
    EXPECT_LT(plan_for_budget(small(), speeds, 1, 50, 10).models[0].steps, alone);
}

TEST(StepPlan, StartValidationAndEvaluationTakeTheirPartOfTheBudget) {
    std::vector<RunSpeed> slow = speeds;
    for (RunSpeed& speed : slow) speed.around = speed.evaluate = speed.per_validation = 1;
    const StepPlan plan = plan_for_budget(small(), slow, 1, 50 / 0.9, 0);  // 5 runs take 15 seconds besides their steps
    EXPECT_NEAR(static_cast<double>(plan.models[0].steps), 50, 1);
    EXPECT_NEAR(plan.models[0].seconds, 0.1 * static_cast<double>(plan.models[0].steps) + 3, 1e-9);
}

TEST(StepPlan, WhatCannotReachItsMinimumIsLeftOutFromTheEndOfTheFile) {
    // All three at 80 steps of 100: 0.8 * 70 = 56 seconds; a and b: 48; a alone: 16.
    EXPECT_FALSE(plan_for_budget(small(80), speeds, 1, 60 / 0.9, 0).models[2].left_out);
    const StepPlan without_c = plan_for_budget(small(80), speeds, 1, 50 / 0.9, 0);
    EXPECT_FALSE(without_c.models[1].left_out);
    EXPECT_TRUE(without_c.models[2].left_out);
    EXPECT_GE(without_c.models[0].steps, 80);
    const StepPlan only_a = plan_for_budget(small(80), speeds, 1, 20 / 0.9, 0);
    EXPECT_FALSE(only_a.models[0].left_out);
    EXPECT_TRUE(only_a.models[1].left_out);
    EXPECT_EQ(only_a.models[1].steps, 0);
    EXPECT_NEAR(static_cast<double>(only_a.models[0].steps), 100, 1);
}

TEST(StepPlan, ABudgetForNothingSaysWhatWouldBeEnough) {
    try {
        plan_for_budget(small(80), speeds, 1, 9, 0);
        FAIL();
    } catch (const ConfigurationError& error) {
        EXPECT_NE(std::string(error.what()).find("the smallest budget is 19s"), std::string::npos) << error.what();
    }
    EXPECT_EQ(plan_for_budget(small(80), speeds, 1, 19, 0).models[0].steps >= 80, true);
}

TEST(StepPlan, WallTimeIsThatOfTheJobThatEndsLast) {
    EXPECT_DOUBLE_EQ(wall_seconds({3, 2, 2, 4}, 1), 11);
    EXPECT_DOUBLE_EQ(wall_seconds({3, 2, 2, 4}, 2), 7);  // 3 + 4 beside 2 + 2
    EXPECT_DOUBLE_EQ(wall_seconds({}, 2), 0);
}

TEST(StepPlan, WarmupKeepsItsShareOfTheSteps) {
    TrainSettings train;
    train.steps = 400;
    train.schedule.warmup = 40;
    train.schedule.decay = 0;
    EXPECT_EQ(with_steps(train, 100).schedule.warmup, 10);
    EXPECT_EQ(with_steps(train, 800).schedule.warmup, 80);
    EXPECT_EQ(with_steps(train, 100).steps, 100);
    EXPECT_EQ(with_steps(train, 100).schedule.decay, 0);
}

TEST(StepPlan, DurationsAreReadWithTheirUnits) {
    EXPECT_DOUBLE_EQ(parse_duration("50m"), 3000);
    EXPECT_DOUBLE_EQ(parse_duration("90s"), 90);
    EXPECT_DOUBLE_EQ(parse_duration("1h30m"), 5400);
    EXPECT_DOUBLE_EQ(parse_duration("0.5h"), 1800);
    for (const char* wrong : {"", "50", "m", "50x", "-5m", "0s", "5m6", "nan"})
        EXPECT_THROW(parse_duration(wrong), ConfigurationError) << wrong;
}

}  // namespace
}  // namespace locus
