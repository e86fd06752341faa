#pragma once
// The work of a comparison from wherever it stands to its end: what is not finished is trained and evaluated, the tables grow as runs end.

#include <filesystem>
#include <string>
#include <vector>

#include "train/comparison/compared_run.h"
#include "train/comparison/step_plan.h"

namespace locus {

/// The runs of a plan: first every model with its first seed, then with its second, so that a comparison that is stopped has whole rounds.
/// `text`: for each block, what is evaluated where the settings name no text.
struct PlannedRuns {
    std::vector<ComparedRun> runs, left_out;  // in the order of the file, seeds innermost
    std::vector<std::size_t> order;           // of the work, indices of runs
};
PlannedRuns make_runs(const Comparison& comparison, const StepPlan& plan,
                      const std::vector<std::vector<std::string>>& text);

/// Takes the runs of other blocks out of the work; they stay in the tables. Throws ConfigurationError for a block that is not there.
void keep_blocks(PlannedRuns& planned, const std::vector<std::string>& blocks);

/// Works until all runs have ended. Returns an exit code: 0; 4 when some diverged and nothing else failed; 1 when some failed; 128 + a signal that stopped
/// it, with checkpoints saved. Needs a SignalGuard.
int run_session(PlannedRuns& planned, const std::filesystem::path& folder, int jobs);

}  // namespace locus
