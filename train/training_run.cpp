#include "train/training_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <utility>

#include "model/cost.h"
#include "train/error.h"
#include "train/log.h"
#include "train/not_finite.h"
#include "train/run_folder.h"
#include "train/signals.h"

namespace locus {
namespace fs = std::filesystem;
namespace {

constexpr std::int64_t most_failed_saves = 3;

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double mean(double sum, std::int64_t count) { return count > 0 ? sum / static_cast<double>(count) : 0; }

bool divides(std::int64_t every, std::int64_t step) { return every > 0 && step > 0 && step % every == 0; }

}  // namespace

TrainingRun::TrainingRun(const RunParts& parts, const TrainerState& state)
    : parts_(parts),
      state_(state),
      step_(parts.settings, parts.model, parts.optimizer),
      elapsed_before_(state.elapsed_seconds) {
    const bool resumed = state.step > 0 || state.validated_step >= 0;
    saved_step_ = resumed ? state.step : -1;
    saved_validation_ = state.validated_step;
}

// ---- the loop -------------------------------------------------------------------------------------------------------------------------

int TrainingRun::run() {
    const TrainSettings& train = parts_.settings.train;
    try {
        // A signal may have come before the validation of the step that is resumed.
        const bool ends_here = !stop_reason(train, state_).empty();
        if ((validation_due(state_.step) || ends_here) && state_.validated_step != state_.step) {
            validate();
            save_if_due(!stop_reason(train, state_).empty());
        }
        if (state_.step < train.steps) loader_.emplace(*parts_.data.train, train, state_.step + 1);
        while (stop_reason(train, state_).empty()) advance();
    } catch (const Interrupted& interrupted) {
        finish_steps();
        return stop_for(interrupted.signal);
    }
    ProgressLine::clear();
    report_end(stop_reason(train, state_));
    return 0;
}

void TrainingRun::advance() {
    if (step_.under_way() == 0) start_step();
    if (may_go_ahead()) start_step();
    finish_step();
    // Whether this step is the last is asked before validation and after: it can bring an early stop, and takes time.
    if (!stop_reason(parts_.settings.train, state_).empty()) finish_steps();
    if (validation_due(state_.step) || !stop_reason(parts_.settings.train, state_).empty()) validate();
    save_if_due(!stop_reason(parts_.settings.train, state_).empty());
    check_signals();
}

// Whether the step after the one under way can be begun: nothing but a row of metrics stands between them.
bool TrainingRun::may_go_ahead() const {
    const std::int64_t last = state_.step + step_.under_way();
    return step_.under_way() < step_.most_under_way() && last < parts_.settings.train.steps && !validation_due(last) &&
           !divides(parts_.settings.train.checkpoint_every, last);
}

void TrainingRun::start_step() {
    const double waited = loader_->wait_seconds();
    const std::span<const TokenBatch> batches = loader_->next();
    check_signals();
    if (step_.under_way() == 0) {
        wait_seconds_ += loader_->wait_seconds() - waited;
        working_since_ = Clock::now();
    }
    step_.start(state_.step + step_.under_way() + 1, batches);
}

// The time of a step that was ahead counts from the end of the one before it: together they took no longer.
void TrainingRun::finish_step() {
    try {
        const StepResult result = step_.finish();
        const double seconds = seconds_since(working_since_);
        working_since_ = Clock::now();
        step_seconds_ += seconds;
        logged_seconds_ += seconds;
        ++steps_;
        record_step(result);
    } catch (const NotFiniteStep& error) {
        throw_not_finite_step(error);
    }
}

void TrainingRun::finish_steps() {
    while (step_.under_way() > 0) finish_step();
}

void TrainingRun::throw_not_finite_step(const NotFiniteStep& error) {
    const StepResult& result = error.result;
    state_.step += 1;
    MetricsRow row = new_row("train", result.loss, result.masked_accuracy);
    row.learning_rate = result.learning_rate;
    if (std::isfinite(result.loss)) row.gradient_norm = result.gradient_norm;
    add_row(row);
    throw NotFiniteError(
        fmt::format("{}\n{}\na lower train.optimizer.learning_rate, a longer train.schedule.warmup or a smaller "
                    "train.optimizer.clip usually helps",
                    error.what(), last_checkpoint()));
}

void TrainingRun::record_step(const StepResult& result) {
    const Settings& settings = parts_.settings;
    state_.step += 1;
    state_.tokens += result.tokens;
    state_.elapsed_seconds = elapsed();
    const auto tokens = static_cast<double>(result.tokens);
    logged_tokens_ += tokens;
    tokens_ += tokens;
    flops_ += 3 * forward_flops(parts_.model.settings(), result.tokens, settings.data.sequence_length, result.masked);
    smoothed_loss_.add(result.loss);
    const bool log = divides(settings.train.log_every, state_.step);
    if (log) {
        MetricsRow row = new_row("train", result.loss, result.masked_accuracy);
        row.learning_rate = result.learning_rate;
        row.gradient_norm = result.gradient_norm;
        row.tokens_per_second = logged_tokens_ / std::max(logged_seconds_, 1e-9);
        add_row(row);
        logged_tokens_ = logged_seconds_ = 0;
    }
    show_progress(log);
}

// ---- validation -----------------------------------------------------------------------------------------------------------------------

bool TrainingRun::validation_due(std::int64_t step) const {
    const TrainSettings& train = parts_.settings.train;
    return step == 0 || step == train.steps || divides(train.evaluate_every, step);
}

bool TrainingRun::untrained() const { return state_.step == 0 && parts_.settings.train.init_from.empty(); }

// The loss of an untrained model is ln V to within a hundredth on any text: a few samples show it, and training begins at once.
std::int64_t TrainingRun::samples_to_validate() const {
    constexpr std::int64_t few = 64;
    const std::int64_t asked = parts_.settings.train.evaluate_samples, there = parts_.data.valid->samples();
    const std::int64_t all = asked > 0 ? std::min(asked, there) : there;
    return untrained() ? std::min(all, few) : all;
}

void TrainingRun::validate() {
    const TrainSettings& train = parts_.settings.train;
    const Clock::time_point begin = Clock::now();
    const std::int64_t samples = samples_to_validate();
    const EvaluationResult result =
        evaluate(parts_.model, *parts_.data.valid, train.batch_size, samples, evaluation_arena_,
                 [&](std::int64_t done, std::int64_t total) {
                     check_signals();
                     ProgressLine::show_activity(fmt::format("step {}: validation", state_.step), done, total);
                     return true;
                 });
    validation_seconds_ += seconds_since(begin);
    validated_samples_ += samples;
    ++validations_;
    state_.elapsed_seconds = elapsed();
    state_.validated_step = state_.step;
    add_row(new_row("valid", result.loss, result.masked_accuracy));
    if (!std::isfinite(result.loss)) throw_not_finite_validation(result.loss);

    const bool best = update_best(result.loss);
    log_line(fmt::format("step {}: validation loss {:.4f}, masked accuracy {:.2f}%{} ({} samples, {:.1f} s)",
                         state_.step, result.loss, 100 * result.masked_accuracy, best ? ", the best so far" : "",
                         samples, seconds_since(begin)));
    if (untrained()) check_first_loss(result.loss);
}

// A model that knows nothing gives every token the same probability: its loss is ln V.
void TrainingRun::check_first_loss(double loss) const {
    const double expected = std::log(static_cast<double>(parts_.model.settings().vocab_size));
    if (std::abs(loss - expected) < 0.1 * expected) return;
    log_warning(fmt::format(
        "the loss of the untrained model is {:.3f}, more than 10% away from ln({}) = {:.3f}; likely causes: "
        "model.initializer_range does not suit model.hidden, or the vocabulary is not that of the text",
        loss, parts_.model.settings().vocab_size, expected));
}

// The untrained model of step 0 is where the comparison starts, not a candidate.
bool TrainingRun::update_best(double loss) {
    if (state_.step == 0) return false;
    if (state_.best_step >= 0 && !(loss < state_.best_loss)) {
        ++state_.validations_without_improvement;
        return false;
    }
    state_.best_loss = loss;
    state_.best_step = state_.step;
    state_.validations_without_improvement = 0;
    new_best_ = true;
    return true;
}

void TrainingRun::throw_not_finite_validation(double loss) {
    std::string culprit = first_bad_parameter(parts_.model.parameters());
    const TrainSettings& train = parts_.settings.train;
    TokenBatch batch;
    BatchTensors tensors;
    for (std::int64_t first = 0; culprit.empty() && first < parts_.data.valid->samples(); first += train.batch_size) {
        parts_.data.valid->validation(first, train.batch_size, batch);
        tensors.fill(batch, 0);
        culprit = first_bad_activation(parts_.model, tensors.input(), RunMode{}, evaluation_arena_);
    }
    throw NotFiniteError(fmt::format("step {}: the validation loss is {}; the first tensor that is not finite: {}\n{}",
                                     state_.step, loss, culprit.empty() ? "the loss itself" : culprit,
                                     last_checkpoint()));
}

// ---- checkpoints ----------------------------------------------------------------------------------------------------------------------

void TrainingRun::save_if_due(bool at_end) {
    const bool due = new_best_ || at_end || divides(parts_.settings.train.checkpoint_every, state_.step);
    const bool saved = saved_step_ == state_.step && saved_validation_ == state_.validated_step;
    if (due && !saved) save(at_end);
}

void TrainingRun::save(bool at_end) {
    const Clock::time_point begin = Clock::now();
    ProgressLine::show_activity("saving the checkpoint of step", state_.step, 0);
    const bool best = std::exchange(new_best_, false);
    try {
        parts_.metrics.sync();
        metrics_wait_ = false;
        state_.metrics_bytes = parts_.metrics.bytes();
        save_checkpoint(parts_.folder, parts_.model, parts_.optimizer, *parts_.data.tokenizer, state_, best);
        prune_checkpoints(parts_.folder, parts_.settings.train.keep_last);
    } catch (const std::system_error& error) {
        failed_to_save(error, at_end);
        return;
    }
    failed_saves_ = 0;
    saved_step_ = state_.step;
    saved_validation_ = state_.validated_step;
    save_seconds_ += seconds_since(begin);
    ++saves_;
    best_saves_ += best ? 1 : 0;
    log_quietly(fmt::format("step {}: checkpoint saved ({:.2f} s)", state_.step, seconds_since(begin)));
}

// A full disk costs a checkpoint, not the run: the older ones stay, and training goes on until it happens three times in a row or at the end.
void TrainingRun::failed_to_save(const std::system_error& error, bool at_end) {
    ++failed_saves_;
    if (at_end || failed_saves_ >= most_failed_saves) {
        log_warning(fmt::format("step {}: the checkpoint cannot be saved; {}", state_.step, last_checkpoint()));
        throw;  // the error being handled by save()
    }
    log_warning(fmt::format("STEP {}: NO CHECKPOINT SAVED ({} of {} failures before training stops): {}; {}",
                            state_.step, failed_saves_, most_failed_saves, error.what(), last_checkpoint()));
}

int TrainingRun::stop_for(int signal) {
    ProgressLine::clear();
    log_line(fmt::format("{}: stopping at step {}", signal_name(signal), state_.step));
    if (saved_step_ != state_.step || saved_validation_ != state_.validated_step) save(true);
    log_line(last_checkpoint() + "; go on with --resume");
    return 128 + signal;
}

std::string TrainingRun::last_checkpoint() const {
    std::error_code error;
    const fs::path target = fs::read_symlink(parts_.folder / "latest", error);
    if (error) return "no checkpoint was saved yet";
    return "the last checkpoint is " + (parts_.folder / target).string();
}

// ---- what is told ---------------------------------------------------------------------------------------------------------------------

void TrainingRun::report_end(const std::string& reason) const {
    log_line("stopped: " + reason);
    if (state_.best_step >= 0) {
        log_line(fmt::format("best validation loss {:.4f} at step {}", state_.best_loss, state_.best_step));
        std::error_code missing;
        const fs::path best = fs::canonical(parts_.folder / "best", missing);
        if (missing || best.filename() != checkpoint_folder(parts_.folder, state_.best_step).filename())
            log_warning("the checkpoint of the best step is gone or could not be saved");
    }
    const StepPhases& phases = step_.phases();
    const std::string training = parts_.model.device() == Device::cpu
                                     ? fmt::format("forward {:.1f} s, backward {:.1f} s, optimizer {:.1f} s",
                                                   phases.forward, phases.backward, phases.optimizer)
                                     : fmt::format("training {:.1f} s", step_seconds_);
    log_line(fmt::format("time: {}, validation {:.1f} s, checkpoints {:.1f} s; {} tokens/s in training", training,
                         validation_seconds_, save_seconds_, quantity_text(tokens_ / std::max(step_seconds_, 1e-9))));
    log_line(fmt::format("curve: {}   model: {}", (parts_.folder / "metrics.csv").string(),
                         (parts_.folder / (fs::exists(parts_.folder / "best") ? "best" : "latest")).string()));
}

MetricsRow TrainingRun::new_row(const char* split, double loss, double accuracy) const {
    const TrainSettings& train = parts_.settings.train;
    const double sequences =
        static_cast<double>(state_.step) * static_cast<double>(train.batch_size * train.gradient_accumulation);
    MetricsRow row;
    row.step = state_.step;
    row.tokens = state_.tokens;
    const std::int64_t samples = parts_.data.train->samples();
    row.epoch = samples > 0 ? sequences / static_cast<double>(samples) : 0;
    row.split = split;
    row.loss = loss;
    row.masked_accuracy = accuracy;
    row.elapsed_seconds = elapsed();
    return row;
}

void TrainingRun::add_row(const MetricsRow& row) {
    if (parts_.metrics.append(row) || metrics_wait_) return;
    metrics_wait_ = true;
    log_warning(fmt::format("metrics.csv cannot be written ({}); its rows wait in memory",
                            std::generic_category().message(errno)));
}

void TrainingRun::show_progress(bool at_log_step) {
    Progress progress;
    progress.step = state_.step;
    progress.steps = parts_.settings.train.steps;
    progress.loss = smoothed_loss_.value();
    progress.tokens_per_second = tokens_ / std::max(step_seconds_, 1e-9);
    progress.flops_per_second = flops_ / std::max(step_seconds_, 1e-9);
    progress.data_wait = loader_->wait_seconds() / std::max(wait_seconds_ + step_seconds_, 1e-9);
    progress.seconds_left = seconds_left();
    line_.show(progress, at_log_step);
}

// Steps, validations and checkpoints that are still to come, each at its mean so far.
double TrainingRun::seconds_left() const {
    const TrainSettings& train = parts_.settings.train;
    const auto still = [&](std::int64_t every) {
        const std::int64_t regular = every > 0 ? train.steps / every - state_.step / every : 0;
        return regular + (divides(every, train.steps) ? 0 : 1);  // and once at the end
    };
    const double best_share = validations_ > 1 ? mean(static_cast<double>(best_saves_), validations_ - 1) : 1;
    const double validations = static_cast<double>(still(train.evaluate_every));
    const double saves = static_cast<double>(still(train.checkpoint_every)) + best_share * validations;
    const double steps = static_cast<double>(train.steps - state_.step);
    const double validation =
        static_cast<double>(samples_to_validate()) * mean(validation_seconds_, validated_samples_);
    const double all =
        steps * mean(step_seconds_, steps_) + validations * validation + saves * mean(save_seconds_, saves_);
    if (train.max_minutes <= 0) return all;
    return std::min(all, std::max(60 * train.max_minutes - elapsed(), 0.0));
}

double TrainingRun::elapsed() const { return elapsed_before_ + seconds_since(start_); }

}  // namespace locus
