#pragma once
// The configuration that a model was trained with, for the commands that use models.

#include <filesystem>
#include <optional>

#include "train/model_folder.h"
#include "train/settings.h"

namespace locus {

/// The resolved configuration of the run that a checkpoint folder belongs to; nothing when it belongs to none. One that cannot be read is told
/// as a warning.
std::optional<Settings> settings_of_run(const std::filesystem::path& checkpoint);

/// The tokenizer of a loaded model. Throws FileError when its folder has none.
const Tokenizer& tokenizer_of(const LoadedModel& loaded);

}  // namespace locus
