#pragma once
// Checkpoints: checkpoints/step-00000500/ with the model as a Hugging Face folder, optimizer.safetensors and trainer.json (step, best
// loss, patience, fingerprints, checksums of every file). A checkpoint appears whole or not at all: it is written beside, synced to the disk,
// and renamed. `latest` and `best` are relative symbolic links, replaced atomically.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "data/tokenizer.h"
#include "model/masked_language_model.h"
#include "train/optimizer.h"

namespace locus {

/// What resuming needs besides weights and moments.
struct TrainerState {
    std::int64_t step = 0;    // steps done
    std::int64_t tokens = 0;  // tokens seen
    double elapsed_seconds = 0;
    double best_loss = 0;  // of validation; meaningful when best_step >= 0
    std::int64_t best_step = -1;
    std::int64_t validated_step =
        -1;  // step of the last validation: a signal may save a checkpoint before its validation
    std::int64_t validations_without_improvement = 0;
    std::string configuration;           // the part of the resolved configuration that resuming may not change, as YAML
    std::uint64_t data_fingerprint = 0;  // of training and validation text and tokenizer
    std::int64_t metrics_bytes = 0;      // length of metrics.csv at this step
};

/// run/checkpoints/step-NNNNNNNN.
std::filesystem::path checkpoint_folder(const std::filesystem::path& run, std::int64_t step);

/// Writes run/checkpoints/step-NNNNNNNN and points `latest` (and `best` when is_best) at it. Returns its folder.
/// Throws std::system_error (disk full: what was half-written is removed, the older checkpoints stay).
std::filesystem::path save_checkpoint(const std::filesystem::path& run, MaskedLanguageModel& model,
                                      const Optimizer& optimizer, const Tokenizer& tokenizer, const TrainerState& state,
                                      bool is_best);

/// The state of a checkpoint alone. Throws FileError, which points to train.init_from when the folder has weights only.
TrainerState read_trainer_state(const std::filesystem::path& checkpoint);

/// The newest checkpoint of a run that is complete and whose checksums hold; empty path when there is none. Each one passed over is told to
/// `warn` with the reason.
std::filesystem::path newest_valid_checkpoint(const std::filesystem::path& run,
                                              const std::function<void(const std::string&)>& warn);

/// Loads weights, moments and state. Throws FileError naming file and tensor.
TrainerState load_checkpoint(const std::filesystem::path& checkpoint, MaskedLanguageModel& model, Optimizer& optimizer);

/// Checks the files of a checkpoint against the checksums of its trainer.json. Throws FileError naming file and tensor. Folders without
/// trainer.json pass: they are models, not checkpoints.
enum class CheckpointPart { model, moments, everything };
void verify_checkpoint(const std::filesystem::path& checkpoint, CheckpointPart part);

/// Removes what a killed process left half-written or half-removed.
void remove_stale_folders(const std::filesystem::path& run);

/// Points `latest` to `checkpoint` and `best` to the one of state.best_step, as they were when `checkpoint` was saved (a kill may have come
/// between). False when the best one is gone.
bool restore_links(const std::filesystem::path& run, const std::filesystem::path& checkpoint,
                   const TrainerState& state);

/// About the bytes of one checkpoint.
std::int64_t checkpoint_bytes(const MaskedLanguageModel& model);

/// Removes all but the newest `keep_last` checkpoints and those that `latest` and `best` point to. 0 keeps all.
void prune_checkpoints(const std::filesystem::path& run, std::int64_t keep_last);

}  // namespace locus
