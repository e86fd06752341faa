#pragma once
// One optimizer step: forward and backward of each micro-batch, clipping, AdamW.
//
// On a GPU nobody waits within a step: it is recorded and given to the device in one piece (kernels/device_graph.h), and what it finds, the losses of the
// rows and the gradients' norm, is read when the next step is queued already.
//
//     processor   start(1) ......... finish(1)   start(2) ......... finish(2)
//     GPU         start(1)  start(2)  finish(1)  start(3)  finish(2)  start(4) ...
//                 step 1 ..........   step 2 ............  step 3 ........

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/batches.h"
#include "kernels/device.h"
#include "kernels/device_graph.h"
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

/// Where the time of the steps so far went, in seconds. On a GPU measured only while a clock is set.
struct StepPhases {
    double forward = 0, backward = 0, optimizer = 0;
};

class TrainingStep {
public:
    /// `settings` with every -1 resolved. Steps run where the model is when this is made.
    TrainingStep(const Settings& settings, MaskedLanguageModel& model, Optimizer& optimizer);

    /// Begins step number `step` (from 1); on the processor it is computed at once. The loss is normalised by the masked tokens of all micro-batches together;
    /// dropout counts the sequences of the whole step, so how it is cut into micro-batches does not matter. The batches may be changed when it returns.
    /// Throws Interrupted when a signal came: the step was then not begun, and the parameters are untouched.
    void start(std::int64_t step, std::span<const TokenBatch> micro_batches);
    /// The result of the oldest step begun and not finished; waits for it. Throws NotFiniteStep when its loss or gradient norm is not finite, naming the first
    /// bad tensor; neither it nor the steps begun after it have then touched the parameters, and no step is under way any more.
    StepResult finish();
    /// Both.
    StepResult run(std::int64_t step, std::span<const TokenBatch> micro_batches);

    /// How many steps are begun and not finished, and how many there may be: 2 on a GPU, else 1.
    std::int64_t under_way() const { return started_ - finished_; }
    std::int64_t most_under_way() const { return model_.device() == Device::cpu ? 1 : 2; }

    /// `clock`, if any, is told where the time of the following steps goes, which then wait for each phase; it must outlive them. It changes no number.
    void set_clock(StepClock* clock) { clock_ = clock; }

    const StepPhases& phases() const { return phases_; }
    const Arena& arena() const { return arena_; }

private:
    struct Losses {
        DeferredCopy loss, correct;
    };
    // A step that was begun.
    struct Step {
        explicit Step(Device device) : done(device) {}

        std::int64_t number = 0;
        RunMode mode;
        std::vector<TokenBatch> batches;  // copies: a step that fails is run again
        std::vector<Losses> losses;       // of each batch
        DeferredCopy squares;             // of the gradients' norm
        DevicePoint done;
        StepResult result;
    };

    void begin(Step& step, std::int64_t number, std::span<const TokenBatch> batches) const;
    void queue(Step& step);
    void accumulate(const TokenBatch& batch, std::int64_t first_sequence, const Step& step, Losses& losses);
    void enter(Phase phase, int tensors = 0);
    static void read_losses(Step& step);
    [[noreturn]] void throw_not_finite(const Step& step);
    std::string first_bad_tensor(const Step& step);

    const Settings& settings_;
    MaskedLanguageModel& model_;
    Optimizer& optimizer_;
    Arena arena_;
    BatchTensors tensors_;
    std::array<Step, 2> steps_;
    std::int64_t started_ = 0, finished_ = 0;
    DeviceGraph graph_;
    StepPhases phases_;
    StepClock* clock_ = nullptr;
};

}  // namespace locus
