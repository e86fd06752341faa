#pragma once
// One optimizer step: forward and backward of each micro-batch, clipping, AdamW.

#include <cstdint>
#include <span>
#include <string>

#include "data/batches.h"
#include "model/masked_language_model.h"
#include "train/batch_tensors.h"
#include "train/error.h"
#include "train/optimizer.h"
#include "train/settings.h"

namespace locus {

struct StepResult {
    double loss = 0;  // nats per masked token, over all micro-batches
    double masked_accuracy = 0;
    std::int64_t masked = 0, tokens = 0;
    double gradient_norm = 0, learning_rate = 0;
};

/// The error of a step with a loss or gradient norm that is not finite, and what was measured up to there.
struct NotFiniteStep : NotFiniteError {
    NotFiniteStep(const std::string& message, const StepResult& step) : NotFiniteError(message), result(step) {}
    StepResult result;
};

/// Where the time of the steps so far went, in seconds.
struct StepPhases {
    double forward = 0, backward = 0, optimizer = 0;
};

class TrainingStep {
public:
    /// `settings` with every -1 resolved. Steps run where the model is when this is made.
    TrainingStep(const Settings& settings, MaskedLanguageModel& model, Optimizer& optimizer);

    /// Runs step number `step` (from 1). The loss is normalised by the masked tokens of all micro-batches together; dropout counts the
    /// sequences of the whole step, so how it is cut into micro-batches does not matter. Throws NotFiniteStep when the loss or the gradient
    /// norm is not finite, naming the first bad tensor, and Interrupted when a signal came; the parameters are then untouched.
    StepResult run(std::int64_t step, std::span<const TokenBatch> micro_batches);

    /// `clock`, if any, is told where the time of the following steps goes; it must outlive them. It changes no number.
    void set_clock(StepClock* clock) { clock_ = clock; }

    const StepPhases& phases() const { return phases_; }
    const Arena& arena() const { return arena_; }

private:
    struct Totals;
    void accumulate(const TokenBatch& batch, const RunMode& mode, double scale, Totals& totals);
    void enter(Phase phase, int tensors = 0);
    [[noreturn]] void throw_not_finite(std::int64_t step, const StepResult& result, const RunMode& mode);

    const Settings& settings_;
    MaskedLanguageModel& model_;
    Optimizer& optimizer_;
    Arena arena_;
    BatchTensors tensors_;
    StepPhases phases_;
    StepClock* clock_ = nullptr;
};

}  // namespace locus
