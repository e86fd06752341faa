#pragma once
// The training loop.

#include <filesystem>

#include "train/settings.h"

namespace locus {

/// Trains as `settings` say, into the run folder. `resume`: go on from the newest valid checkpoint, or start where there is none; a finished run
/// is done. Returns an exit code (0, or 130 / 143 after a signal, with a checkpoint saved). Throws the errors of error.h.
int train(const Settings& settings, bool resume);

/// directory/name.
std::filesystem::path run_folder(const Settings& settings);

}  // namespace locus
