#pragma once
// The tables of a comparison, for reports and plots. Rows are in the order of the file, seeds innermost; the same comparison gives the same bytes,
// except for times.csv.
//
//   runs.csv       block,run,seed,encoding,status,steps,tokens,train_length,validation_loss,validation_accuracy,parameters,configuration,reason
//                  status: done, diverged, failed (tried again in the next session), unfinished, left_out (by the budget)
//   lengths.csv    block,run,seed and the columns of length_extrapolation.csv
//   probes.csv     block,run,seed and the columns of the probe evaluation
//   times.csv      block,run,seed,tokens_per_second (median),seconds,evaluation_seconds,peak_memory_bytes
//   plan.csv       budget,block,run,decision,seeds,steps,tokens,seconds     of one seed; 0 where nothing was measured

#include <filesystem>
#include <string>
#include <vector>

#include "train/comparison/compared_run.h"
#include "train/comparison/step_plan.h"

namespace locus {

/// runs.csv, lengths.csv, probes.csv and times.csv. `left_out`: runs that the plan has no time for.
void write_tables(const std::filesystem::path& folder, const std::vector<ComparedRun>& runs,
                  const std::vector<ComparedRun>& left_out);

std::string plan_csv(const Comparison& comparison, const StepPlan& plan);
/// The budget, in seconds, of the plan in `folder`; 0 when there is no plan or no budget.
double planned_budget(const std::filesystem::path& folder);

}  // namespace locus
