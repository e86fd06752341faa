#include "train/comparison/step_plan.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "train/error.h"
#include "train/progress_line.h"

namespace locus {

namespace {

constexpr double share_to_use = 0.9;  // machines have slower minutes

std::int64_t scaled_steps(const ComparisonBlock& block, double factor) {
    constexpr double rounding = 1e-9;  // a minimum that is met exactly must not fail by the last bit of the factor
    const double steps = std::floor(factor * static_cast<double>(block.shared().train.steps) + rounding);
    return std::max<std::int64_t>(1, static_cast<std::int64_t>(steps));
}

double run_seconds(const RunSpeed& speed, const TrainSettings& train, std::int64_t steps) {
    const std::int64_t every = train.evaluate_every;
    const std::int64_t validations = (every > 0 ? steps / every : 0) + (every > 0 && steps % every == 0 ? 0 : 1);
    return speed.around + speed.per_step * static_cast<double>(steps) +
           speed.per_validation * static_cast<double>(validations) + speed.evaluate;
}

/// Sets steps and seconds of the models that stay.
void lay_out(const Comparison& comparison, const std::vector<RunSpeed>& speeds, int jobs, double factor,
             StepPlan& plan) {
    std::vector<double> runs;
    for (std::size_t n = 0; n < plan.models.size(); ++n) {
        PlannedModel& planned = plan.models[n];
        if (planned.left_out) continue;
        const ComparisonBlock& block = comparison.blocks[planned.block];
        planned.steps = scaled_steps(block, factor);
        planned.seconds = run_seconds(speeds[n], block.shared().train, planned.steps);
        runs.insert(runs.end(), block.seeds.size(), planned.seconds);
    }
    plan.seconds = wall_seconds(runs, jobs);
}

/// The largest factor whose runs fit into `seconds`; 0 when none does.
double largest_factor(const Comparison& comparison, const std::vector<RunSpeed>& speeds, int jobs, double seconds,
                      StepPlan plan) {
    const auto fits = [&](double factor) {
        lay_out(comparison, speeds, jobs, factor, plan);
        return plan.seconds <= seconds;
    };
    double low = 0, high = 1;
    constexpr double most = 1e6;
    while (high < most && fits(high)) high *= 2;
    for (int n = 0; n < 60; ++n) {
        const double middle = (low + high) / 2;
        (fits(middle) ? low : high) = middle;
    }
    return low;
}

/// The smallest factor that gives every block that stays its minimum of steps.
double least_factor(const Comparison& comparison, const StepPlan& plan) {
    double least = 0;
    for (const PlannedModel& planned : plan.models) {
        if (planned.left_out) continue;
        const ComparisonBlock& block = comparison.blocks[planned.block];
        const double share = static_cast<double>(block.minimum_steps) / static_cast<double>(block.shared().train.steps);
        least = std::max(least, share);
    }
    return least;
}

}  // namespace

StepPlan plan_as_configured(const Comparison& comparison) {
    StepPlan plan;
    for (std::size_t b = 0; b < comparison.blocks.size(); ++b)
        for (std::size_t m = 0; m < comparison.blocks[b].models.size(); ++m)
            plan.models.push_back({.block = b, .model = m, .steps = comparison.blocks[b].shared().train.steps});
    return plan;
}

StepPlan plan_for_budget(const Comparison& comparison, const std::vector<RunSpeed>& speeds, int jobs, double budget,
                         double spent) {
    StepPlan plan = plan_as_configured(comparison);
    const double seconds = share_to_use * budget - spent;
    for (std::size_t kept = plan.models.size(); kept > 0; --kept) {
        const double factor = largest_factor(comparison, speeds, jobs, seconds, plan);
        const double least = least_factor(comparison, plan);
        lay_out(comparison, speeds, jobs, std::max(factor, least), plan);
        if (factor >= least || plan.seconds <= seconds) {
            plan.budget = budget;
            return plan;
        }
        PlannedModel& last = plan.models[kept - 1];
        if (kept > 1) last = {.block = last.block, .model = last.model, .left_out = true};
    }
    throw ConfigurationError(
        fmt::format("--budget: {} is not enough for a single model with minimum_steps; the smallest budget is {}",
                    duration_text(budget), duration_text(std::ceil((plan.seconds + spent) / share_to_use) + 1)));
}

TrainSettings with_steps(TrainSettings train, std::int64_t steps) {
    const double share = static_cast<double>(steps) / static_cast<double>(train.steps);
    const auto scaled = [&](std::int64_t part) {
        return part <= 0 ? part : static_cast<std::int64_t>(static_cast<double>(part) * share);
    };
    train.schedule.warmup = scaled(train.schedule.warmup);
    train.schedule.decay = scaled(train.schedule.decay);
    train.steps = steps;
    return train;
}

double wall_seconds(const std::vector<double>& seconds, int jobs) {
    std::vector<double> busy(static_cast<std::size_t>(std::max(jobs, 1)), 0.0);
    for (const double run : seconds) *std::min_element(busy.begin(), busy.end()) += run;
    return *std::max_element(busy.begin(), busy.end());
}

double parse_duration(const std::string& text) {
    double seconds = 0;
    const char *at = text.data(), *const end = at + text.size();
    while (at != end) {
        double value = 0;
        const auto [rest, error] = std::from_chars(at, end, value);
        const double unit = rest == end ? 0 : *rest == 'h' ? 3600 : *rest == 'm' ? 60 : *rest == 's' ? 1 : 0;
        if (error != std::errc() || unit == 0 || !(value >= 0) || !std::isfinite(value)) {
            seconds = 0;
            break;
        }
        seconds += value * unit;
        at = rest + 1;
    }
    if (seconds > 0) return seconds;
    throw ConfigurationError(fmt::format("--budget {}: expects a time, as in 50m, 90s or 1h30m", text));
}

}  // namespace locus
