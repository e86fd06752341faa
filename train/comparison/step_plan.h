#pragma once
// How many steps each block of a comparison gets, and what is left out, so that all of it fits into a time.
//
//   seconds of a run   around + steps * per_step + validations(steps) * per_validation + evaluate
//   wall time          runs in order, each to the job that is free first
//   steps of a block   factor * configured steps, the same factor for all blocks and the same steps for all its models: equal tokens
//
// The factor is the largest that fits into 90 % of the time. Where it would bring a block below its minimum_steps, the last model of the file is left
// out and the rest is planned anew: the order of the file is the order of importance.

#include <cstdint>
#include <string>
#include <vector>

#include "train/comparison/comparison.h"

namespace locus {

/// What a run takes on this machine, with as many others beside it as there are jobs; in seconds.
struct RunSpeed {
    double per_step = 0, per_validation = 0;
    double around = 0;    // start, first validation, checkpoint
    double evaluate = 0;  // locus evaluate
};

struct PlannedModel {
    std::size_t block = 0, model = 0;  // indices of the comparison
    std::int64_t steps = 0;
    bool left_out = false;
    double seconds = 0;  // of one seed; 0 when no speed was measured
};

struct StepPlan {
    double budget = 0;                 // seconds; 0: none, the steps are as configured
    double seconds = 0;                // wall time of all
    std::vector<PlannedModel> models;  // in the order of the file
};

StepPlan plan_as_configured(const Comparison& comparison);

/// `speeds`: for each model in the order of the file. `spent`: seconds of the budget that measuring took. Throws ConfigurationError when not even
/// one model fits with the minimum of steps; it says what would be needed.
StepPlan plan_for_budget(const Comparison& comparison, const std::vector<RunSpeed>& speeds, int jobs, double budget,
                         double spent);

/// Training for another number of steps: warmup and decay keep their shares.
TrainSettings with_steps(TrainSettings train, std::int64_t steps);

/// Wall time of runs that take `seconds` each.
double wall_seconds(const std::vector<double>& seconds, int jobs);

/// "50m", "90s", "1h30m", "2.5h" in seconds. Throws ConfigurationError.
double parse_duration(const std::string& text);

}  // namespace locus
