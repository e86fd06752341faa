#pragma once
// One optimizer step: forward and backward of each micro-batch, clipping, AdamW.

#include <cstdint>
#include <span>

#include "data/batches.h"
#include "model/masked_language_model.h"
#include "train/optimizer.h"
#include "train/settings.h"

namespace locus {

struct StepResult {
    double loss = 0;  // nats per masked token, over all micro-batches
    double masked_accuracy = 0;
    std::int64_t masked = 0, tokens = 0;
    double gradient_norm = 0, learning_rate = 0;
};

/// Where the time of the steps so far went, in seconds.
struct StepPhases {
    double forward = 0, backward = 0, optimizer = 0;
};

class TrainingStep {
public:
    /// `settings` with every -1 resolved.
    TrainingStep(const Settings& settings, MaskedLanguageModel& model, Optimizer& optimizer);

    /// Runs step number `step` (from 1). The loss is normalised by the masked tokens of all micro-batches together; `first_sequence` is
    /// the number of the first sequence in the global batch (dropout counters). Throws NotFiniteError when the loss or the gradient norm is
    /// not finite, naming the first bad tensor; the parameters are then untouched.
    StepResult run(std::int64_t step, std::span<const TokenBatch> micro_batches);

    const StepPhases& phases() const { return phases_; }
    const Arena& arena() const { return arena_; }

private:
    const Settings& settings_;
    MaskedLanguageModel& model_;
    Optimizer& optimizer_;
    Arena arena_;
    StepPhases phases_;
};

}  // namespace locus
