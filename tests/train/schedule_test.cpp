#include "train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

#include "train/error.h"

namespace locus {
namespace {

constexpr double peak = 1e-3;
constexpr std::int64_t steps = 100;

ScheduleSettings schedule(const char* type, double final_fraction = 0) {
    return {.type = type, .warmup = 10, .decay = 20, .final_fraction = final_fraction};
}

void expect_rates(const ScheduleSettings& settings, std::initializer_list<std::pair<std::int64_t, double>> table) {
    for (const auto& [step, expected] : table)
        EXPECT_NEAR(learning_rate(settings, peak, step, steps), expected * peak, 1e-15 * peak + 1e-18)
            << settings.type << " " << step;
}

TEST(Schedule, WarmupRisesLinearlyFromAboveZeroToThePeak) {
    for (const char* type : {"constant", "linear", "cosine", "inverse_sqrt", "warmup_stable_decay"})
        expect_rates(schedule(type), {{1, 0.1}, {5, 0.5}, {10, 1.0}});
}

TEST(Schedule, FollowsTheFormulaOfEachType) {
    expect_rates(schedule("constant"), {{11, 1}, {55, 1}, {100, 1}});
    expect_rates(schedule("linear"), {{11, 89.0 / 90}, {55, 0.5}, {100, 0}});
    expect_rates(schedule("linear", 0.1), {{55, 0.55}, {100, 0.1}});
    expect_rates(schedule("cosine"), {{40, 0.75}, {55, 0.5}, {70, 0.25}, {100, 0}});
    expect_rates(schedule("cosine", 0.2), {{55, 0.6}, {100, 0.2}});
    expect_rates(schedule("inverse_sqrt"), {{40, 0.5}, {90, 1.0 / 3}});
    expect_rates(schedule("warmup_stable_decay"), {{11, 1}, {80, 1}, {90, 0.5}, {100, 0}});
    expect_rates(schedule("warmup_stable_decay", 0.5), {{90, 0.75}, {100, 0.5}});
}

TEST(Schedule, WithoutWarmupTheFirstStepHasThePeak) {
    for (const char* type : {"constant", "inverse_sqrt", "warmup_stable_decay"}) {
        ScheduleSettings settings = schedule(type);
        settings.warmup = 0;
        EXPECT_EQ(learning_rate(settings, peak, 1, steps), peak) << type;
    }
}

TEST(Schedule, WarmupAsLongAsTheRunEndsAtThePeak) {
    ScheduleSettings settings = schedule("linear");
    settings.warmup = steps;
    EXPECT_EQ(learning_rate(settings, peak, steps, steps), peak);
}

TEST(Schedule, UnknownTypesAndUnresolvedSettingsAreErrors) {
    EXPECT_THROW(learning_rate(schedule("sawtooth"), peak, 50, steps), ConfigurationError);
    ScheduleSettings unresolved = schedule("linear");
    unresolved.warmup = -1;
    EXPECT_THROW(learning_rate(unresolved, peak, 1, steps), std::logic_error);
}

}  // namespace
}  // namespace locus
