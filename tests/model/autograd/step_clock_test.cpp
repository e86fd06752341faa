#include "model/autograd/step_clock.h"

#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <string>

namespace locus {
namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

void wait(double seconds) {
    const Clock::time_point start = Clock::now();
    while (since(start) < seconds) {
    }
}

TEST(StepClock, EveryMomentBelongsToExactlyOnePhase) {
    StepClock clock;
    const Clock::time_point outside = Clock::now();
    clock.start();
    const Clock::time_point inside = Clock::now();
    wait(0.001);
    clock.enter(Phase::attention, Pass::forward);
    wait(0.002);
    clock.enter(Phase::attention, Pass::backward);
    wait(0.003);
    clock.enter(Phase::attention, Pass::forward);
    wait(0.004);
    const double least = since(inside);
    clock.stop();
    const double most = since(outside);
    const StepWork& work = clock.work();
    EXPECT_GE(work.seconds(), least);
    EXPECT_LE(work.seconds(), most);
    EXPECT_GE(work.at(Phase::rest, Pass::update).seconds, 0.001);
    EXPECT_GE(work.at(Phase::attention, Pass::forward).seconds, 0.006);
    EXPECT_GE(work.at(Phase::attention, Pass::backward).seconds, 0.003);
    EXPECT_EQ(work.at(Phase::feed_forward, Pass::forward).seconds, 0.0);
}

TEST(StepClock, CostsAddUpUntilTheNextStart) {
    StepClock clock;
    clock.start();
    clock.add(Phase::adamw, Pass::update, {.flops = 1, .bytes = 10});
    clock.add(Phase::adamw, Pass::update, {.flops = 2, .bytes = 20});
    EXPECT_EQ(clock.work().at(Phase::adamw, Pass::update).cost.flops, 3);
    EXPECT_EQ(clock.work().at(Phase::adamw, Pass::update).cost.bytes, 30);
    clock.start();
    EXPECT_EQ(clock.work().at(Phase::adamw, Pass::update).cost.bytes, 0);
}

TEST(StepClock, NoTwoPhasesHaveOneName) {
    std::set<std::string> names;
    for (int phase = 0; phase < phase_count; ++phase) names.insert(name_of(static_cast<Phase>(phase)));
    EXPECT_EQ(names.size(), static_cast<std::size_t>(phase_count));
    EXPECT_EQ(names.count("?"), 0U);
}

}  // namespace
}  // namespace locus
