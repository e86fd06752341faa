#include "train/training_step.h"

#include <fmt/format.h>

#include <cmath>

#include "kernels/device.h"
#include "train/not_finite.h"
#include "train/schedule.h"
#include "train/signals.h"
#include "train/stopwatch.h"

namespace locus {

TrainingStep::TrainingStep(const Settings& settings, MaskedLanguageModel& model, Optimizer& optimizer)
    : settings_(settings),
      model_(model),
      optimizer_(optimizer),
      arena_(model.device()),
      steps_{Step(model.device()), Step(model.device())},
      graph_(model.device()) {}

// ---- what a step asks of the device -----------------------------------------------------------------------------------------------------

// Tells the clock what follows; it reads or writes so many tensors as large as all parameters.
void TrainingStep::enter(Phase phase, int tensors) {
    if (clock_ == nullptr) return;
    clock_->enter(phase, Pass::update);
    clock_->add(phase, Pass::update, {.bytes = tensors * static_cast<double>(model_.parameters().values().bytes())});
}

// Adds a micro-batch to the gradients.
void TrainingStep::accumulate(const TokenBatch& batch, std::int64_t first_sequence, const Step& step, Losses& losses) {
    Stopwatch watch;
    tensors_.fill(batch, first_sequence);
    Tape tape(arena_);
    tape.set_clock(clock_);
    const MaskedLoss loss = model_.masked_lm_loss(tape, tensors_.input(), tensors_.targets(),
                                                  1.0 / static_cast<double>(step.result.masked), step.mode);
    enter(Phase::rest);
    losses.loss.ask(loss.loss);
    losses.correct.ask(loss.correct);
    phases_.forward += watch.lap();
    tape.backward();
    enter(Phase::rest);
    phases_.backward += watch.lap();
}

void TrainingStep::queue(Step& step) {
    enter(Phase::zero_gradients, 1);
    model_.parameters().zero_gradients();
    enter(Phase::rest);
    std::int64_t first_sequence = 0;
    for (std::size_t n = 0; n < step.batches.size(); ++n) {
        check_signals();
        const TokenBatch& batch = step.batches[n];
        if (batch.masked() > 0) accumulate(batch, first_sequence, step, step.losses[n]);  // else nothing to learn from
        first_sequence += batch.sequences();
    }
    Stopwatch watch;
    enter(Phase::gradient_norm, 1);
    optimizer_.measure_gradient_norm();
    step.squares.ask(optimizer_.squares());
    enter(Phase::adamw, 7);  // reads parameters, gradients and both moments; writes all but the gradients
    optimizer_.update(step.number, step.result.learning_rate);
    enter(Phase::rest);
    phases_.optimizer += watch.lap();
}

// ---- from its beginning to its end ------------------------------------------------------------------------------------------------------

void TrainingStep::begin(Step& step, std::int64_t number, std::span<const TokenBatch> batches) const {
    const TrainSettings& train = settings_.train;
    step.number = number;
    step.mode = {.training = true, .seed = settings_.run.seed, .step = static_cast<std::uint32_t>(number)};
    step.batches.assign(batches.begin(), batches.end());
    step.losses.resize(batches.size());
    step.result = {};
    step.result.learning_rate = learning_rate(train.schedule, train.optimizer.learning_rate, number, train.steps);
    for (const TokenBatch& batch : batches) {
        step.result.tokens += batch.rows();
        step.result.masked += batch.masked();
    }
}

void TrainingStep::start(std::int64_t step, std::span<const TokenBatch> micro_batches) {
    LOCUS_CHECK(under_way() < most_under_way(), "training_step", "too many steps are under way");
    Step& next = steps_[static_cast<std::size_t>(started_ % 2)];
    begin(next, step, micro_batches);
    // The first step obtains the memory. A clock waits for each phase.
    if (started_ == 0 || clock_ != nullptr) {
        queue(next);
    } else {
        graph_.run([&] { queue(next); });
    }
    next.done.set();
    ++started_;
}

// Sums run row by row over all micro-batches, so the cut does not show in them. They end with the micro-batch whose loss is not finite.
void TrainingStep::read_losses(Step& step) {
    const auto masked = static_cast<double>(step.result.masked);
    double loss = 0;
    std::int64_t correct = 0;
    for (std::size_t n = 0; n < step.batches.size(); ++n) {
        const std::int64_t rows = step.batches[n].masked();
        if (rows == 0) continue;
        for (std::int64_t row = 0; row < rows; ++row) {
            loss += step.losses[n].loss.tensor().as<double>()[row];
            correct += step.losses[n].correct.tensor().as<std::int32_t>()[row];
        }
        step.result.loss = loss / masked;
        if (!std::isfinite(step.result.loss)) return;
    }
    step.result.masked_accuracy = step.result.masked > 0 ? static_cast<double>(correct) / masked : 0;
}

StepResult TrainingStep::finish() {
    LOCUS_CHECK(under_way() > 0, "training_step", "no step is under way");
    Step& oldest = steps_[static_cast<std::size_t>(finished_ % 2)];
    oldest.done.wait();
    read_losses(oldest);
    if (!std::isfinite(oldest.result.loss)) throw_not_finite(oldest);
    oldest.result.gradient_norm = std::sqrt(oldest.squares.tensor().as<double>()[0]);
    if (!std::isfinite(oldest.result.gradient_norm)) throw_not_finite(oldest);
    ++finished_;
    return oldest.result;
}

StepResult TrainingStep::run(std::int64_t step, std::span<const TokenBatch> micro_batches) {
    start(step, micro_batches);
    return finish();
}

// ---- not finite -------------------------------------------------------------------------------------------------------------------------

void TrainingStep::throw_not_finite(const Step& step) {
    finished_ = started_;  // the steps behind it are void: AdamW does nothing while the norm is not finite
    const StepResult& result = step.result;
    const std::string culprit = first_bad_tensor(step);
    fill_zeros(optimizer_.squares());
    const std::string what = std::isfinite(result.loss) ? fmt::format("gradient norm is {}", result.gradient_norm)
                                                        : fmt::format("loss is {}", result.loss);
    throw NotFiniteStep(fmt::format("step {}: the {}; the first tensor that is not finite: {} (learning rate {:.3g})",
                                    step.number, what, culprit, result.learning_rate),
                        result);
}

// The parameters are those of before the step. Its gradients may have given way to those of the step behind it: it is run again, up to the micro-batch that
// went wrong.
std::string TrainingStep::first_bad_tensor(const Step& step) {
    std::string culprit = first_bad_parameter(model_.parameters());
    if (!culprit.empty()) return culprit;
    model_.parameters().zero_gradients();
    const double scale = 1.0 / static_cast<double>(step.result.masked);
    std::int64_t first_sequence = 0;
    for (const TokenBatch& batch : step.batches) {
        tensors_.fill(batch, first_sequence);
        first_sequence += batch.sequences();
        if (batch.masked() == 0) continue;
        Tape tape(arena_);
        const MaskedLoss loss = model_.masked_lm_loss(tape, tensors_.input(), tensors_.targets(), scale, step.mode);
        if (!all_finite(loss.loss)) {
            tape.clear();
            culprit = first_bad_activation(model_, tensors_.input(), step.mode, arena_);
            break;
        }
        tape.backward();
    }
    if (culprit.empty()) culprit = first_bad_gradient(model_.parameters());
    if (!culprit.empty()) return culprit;
    return std::isfinite(step.result.loss) ? "the gradient norm itself" : "the loss itself";
}

}  // namespace locus
