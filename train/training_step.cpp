#include "train/training_step.h"

#include <fmt/format.h>

#include <cmath>

#include "train/not_finite.h"
#include "train/schedule.h"
#include "train/signals.h"
#include "train/stopwatch.h"

namespace locus {

struct TrainingStep::Totals {
    double loss = 0;
    std::int64_t correct = 0;
    std::int64_t first_sequence = 0;
};

TrainingStep::TrainingStep(const Settings& settings, MaskedLanguageModel& model, Optimizer& optimizer)
    : settings_(settings), model_(model), optimizer_(optimizer), arena_(model.device()) {}

// Tells the clock what follows; it reads or writes so many tensors as large as all parameters.
void TrainingStep::enter(Phase phase, int tensors) {
    if (clock_ == nullptr) return;
    clock_->enter(phase, Pass::update);
    clock_->add(phase, Pass::update, {.bytes = tensors * static_cast<double>(model_.parameters().values().bytes())});
}

// Adds a micro-batch to the gradients and the totals. Sums run row by row over all micro-batches, so the cut does not show in them. A loss that
// is not finite ends it before the backward pass.
void TrainingStep::accumulate(const TokenBatch& batch, const RunMode& mode, double scale, Totals& totals) {
    tensors_.fill(batch, totals.first_sequence);
    totals.first_sequence += batch.sequences();
    if (batch.masked() == 0) return;  // nothing to learn from
    Stopwatch watch;
    Tape tape(arena_);
    tape.set_clock(clock_);
    const MaskedLoss loss = model_.masked_lm_loss(tape, tensors_.input(), tensors_.targets(), scale, mode);
    enter(Phase::rest);
    for (std::int64_t row = 0; row < batch.masked(); ++row) {
        totals.loss += loss.loss.as<double>()[row];
        totals.correct += loss.correct.as<std::int32_t>()[row];
    }
    phases_.forward += watch.lap();
    if (!std::isfinite(totals.loss)) return;
    tape.backward();
    enter(Phase::rest);
    phases_.backward += watch.lap();
}

StepResult TrainingStep::run(std::int64_t step, std::span<const TokenBatch> micro_batches) {
    StepResult result;
    const TrainSettings& train = settings_.train;
    result.learning_rate = learning_rate(train.schedule, train.optimizer.learning_rate, step, train.steps);
    for (const TokenBatch& batch : micro_batches) {
        result.tokens += batch.rows();
        result.masked += batch.masked();
    }
    const double masked = static_cast<double>(result.masked);
    const RunMode mode{.training = true, .seed = settings_.run.seed, .step = static_cast<std::uint32_t>(step)};
    enter(Phase::zero_gradients, 1);
    model_.parameters().zero_gradients();
    enter(Phase::rest);
    Totals totals;
    for (const TokenBatch& batch : micro_batches) {
        check_signals();
        accumulate(batch, mode, 1.0 / masked, totals);
        result.loss = result.masked > 0 ? totals.loss / masked : 0;
        if (!std::isfinite(result.loss)) throw_not_finite(step, result, mode);
    }
    result.masked_accuracy = result.masked > 0 ? static_cast<double>(totals.correct) / masked : 0;

    Stopwatch watch;
    enter(Phase::gradient_norm, 1);
    optimizer_.measure_gradient_norm();
    result.gradient_norm = optimizer_.gradient_norm();
    if (!std::isfinite(result.gradient_norm)) throw_not_finite(step, result, mode);
    enter(Phase::adamw, 7);  // reads parameters, gradients and both moments; writes all but the gradients
    optimizer_.update(step, result.learning_rate);
    enter(Phase::rest);
    phases_.optimizer += watch.lap();
    return result;
}

// The batch that went wrong is still in tensors_.
void TrainingStep::throw_not_finite(std::int64_t step, const StepResult& result, const RunMode& mode) {
    std::string culprit = first_bad_parameter(model_.parameters());
    if (culprit.empty() && !std::isfinite(result.loss))
        culprit = first_bad_activation(model_, tensors_.input(), mode, arena_);
    if (culprit.empty()) culprit = first_bad_gradient(model_.parameters());
    if (culprit.empty()) culprit = std::isfinite(result.loss) ? "the gradient norm itself" : "the loss itself";
    const std::string what = std::isfinite(result.loss) ? fmt::format("gradient norm is {}", result.gradient_norm)
                                                        : fmt::format("loss is {}", result.loss);
    throw NotFiniteStep(fmt::format("step {}: the {}; the first tensor that is not finite: {} (learning rate {:.3g})",
                                    step, what, culprit, result.learning_rate),
                        result);
}

}  // namespace locus
