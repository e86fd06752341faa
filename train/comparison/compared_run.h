#pragma once
// One run of a comparison: an ordinary run folder, and in it what the comparison remembers.
//
//   NAME/BLOCK/MODEL/seed-1/     config.yaml, metrics.csv, checkpoints/, ... as `locus train` leaves them
//      length_extrapolation.csv  or probe.csv, of the newest checkpoint: all runs are evaluated after the same number of tokens
//      outcome.json              peak memory, time and options of the evaluation, and why a run diverged
//      output.txt                what the last child process printed

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "train/comparison/comparison.h"
#include "train/comparison/side_by_side.h"

namespace locus {

/// What outcome.json holds.
struct RunOutcome {
    std::string diverged;   // the error of a run that stopped on numbers that are not finite; it is not repeated
    std::string evaluated;  // the options of the evaluation whose figures are in the folder
    double evaluation_seconds = 0;
    std::int64_t peak_memory = 0;  // bytes, of training; 0: not known
};

struct ComparedRun {
    std::string block, model;
    std::int64_t seed = 0;
    Settings settings;                    // of this seed, with folder and steps
    std::vector<std::string> evaluation;  // options of `locus evaluate`; empty: none is wanted
    RunOutcome outcome;
    std::string failure;  // why it failed in this session, to be tried again in the next
    std::string
        init_from;  // "block/run" whose weights of the same seed it starts from; settings.train.init_from is their folder

    std::filesystem::path folder() const;
    std::filesystem::path figures() const;  // the CSV of the evaluation
    std::string name() const;               // "text/rope seed 2"
    bool is_probe() const { return !settings.data.probe.name.empty(); }
};

/// One seed of a model, at its place below `root`. `steps` are those of the plan.
ComparedRun make_run(const ComparisonBlock& block, const ComparedModel& model, std::int64_t seed, std::int64_t steps,
                     const std::filesystem::path& root);

/// The options of `locus evaluate` for a model. `text`: what is read where the settings name none.
std::vector<std::string> evaluation_options(const ComparisonBlock& block, const ComparedModel& model,
                                            const std::vector<std::string>& text);

/// Looks for what an earlier session left. Throws ConfigurationError when the run in the folder has another configuration.
void look_up(ComparedRun& run);

/// Trained to the last step, validation included.
bool is_trained(const ComparedRun& run);
bool is_evaluated(const ComparedRun& run);
/// There is nothing left to do for it.
bool is_finished(const ComparedRun& run);

/// What is to be done next: writes config.yaml for `locus train`, or asks for `locus evaluate`.
ChildCommand next_command(const ComparedRun& run, std::size_t number);

/// Takes note of how a command of this run ended.
void record_end(ComparedRun& run, const ChildCommand& command, const ChildEnd& end);

/// The same for the same computation, in whatever folder and with whatever seed. `init_from`: "block/run" that it starts from.
std::string configuration_hash(const Settings& settings, const std::string& init_from = {});

}  // namespace locus
