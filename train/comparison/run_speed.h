#pragma once
// How long each model of a comparison takes on this machine, measured once by training and evaluating it for a few steps, as many side by side as later.
//
//   speed.csv     block,run,configuration,jobs,seconds_per_step,seconds_per_validation,seconds_around,seconds_to_evaluate,seconds_to_measure
//
// The file stays, so that a comparison which goes on decides as it did before; a model of another configuration is measured anew.

#include <filesystem>
#include <vector>

#include "train/comparison/comparison.h"
#include "train/comparison/step_plan.h"

namespace locus {

struct MeasuredSpeeds {
    std::vector<RunSpeed> speeds;  // of each model, in the order of the file
    double seconds = 0;            // wall time of measuring them, now or earlier
};

/// `text`: for each block, what is evaluated where the settings name no text. Throws Interrupted, and std::runtime_error when a model can be neither
/// trained nor evaluated.
MeasuredSpeeds measure_speeds(const Comparison& comparison, const std::vector<std::vector<std::string>>& text,
                              int jobs);

}  // namespace locus
