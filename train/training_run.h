#pragma once
// A run from some step to its end: training steps, validations, checkpoints, and what is told about them.
//
//   step n:  train, row (each log_every)  ->  validate, row (each evaluate_every, and at the end)  ->  save (each checkpoint_every, at a new best
//            validation loss, and at the end)
//
// On a GPU step n + 1 is begun before the result of step n is read (training_step.h), unless step n is followed by a validation or a checkpoint. Whatever ends
// the run, the steps under way are finished and recorded first: no file shows that one was ahead.
//
// Everything that decides the numbers is a function of (seed, step) and of the checkpoint, so a run that was stopped anywhere goes on
// with the same bits.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

#include "train/batch_loader.h"
#include "train/checkpoint.h"
#include "train/evaluation.h"
#include "train/metrics.h"
#include "train/prepared_data.h"
#include "train/progress_line.h"
#include "train/training_step.h"

namespace locus {

/// What a run works on; all of it outlives the run.
struct RunParts {
    const Settings& settings;
    const PreparedData& data;
    MaskedLanguageModel& model;
    Optimizer& optimizer;
    MetricsFile& metrics;
    std::filesystem::path folder;
};

class TrainingRun {
public:
    /// `state`: where to go on from.
    TrainingRun(const RunParts& parts, const TrainerState& state);

    /// Runs to the end. Returns 0, or 130 / 143 after a signal, with a checkpoint saved. Throws NotFiniteError, and std::system_error when
    /// checkpoints cannot be saved.
    int run();

    const TrainerState& state() const { return state_; }
    const Arena& arena() const { return step_.arena(); }

private:
    using Clock = std::chrono::steady_clock;

    void advance();
    void start_step();
    bool may_go_ahead() const;
    void finish_step();
    void finish_steps();
    [[noreturn]] void throw_not_finite_step(const NotFiniteStep& error);
    void record_step(const StepResult& result);
    bool validation_due(std::int64_t step) const;
    bool untrained() const;
    std::int64_t samples_to_validate() const;
    void validate();
    void check_first_loss(double loss) const;
    bool update_best(double loss);
    void save_if_due(bool at_end);
    void save(bool at_end);
    void failed_to_save(const std::system_error& error, bool at_end);
    int stop_for(int signal);
    void report_end(const std::string& reason) const;

    void add_row(const MetricsRow& row);
    MetricsRow new_row(const char* split, double loss, double accuracy) const;
    void show_progress(bool at_log_step);
    double seconds_left() const;
    double elapsed() const;
    std::string last_checkpoint() const;
    [[noreturn]] void throw_not_finite_validation(double loss);

    RunParts parts_;
    TrainerState state_;
    TrainingStep step_;
    std::optional<BatchLoader> loader_;
    Arena evaluation_arena_{parts_.model.device()};

    double elapsed_before_;  // seconds of the sessions before this one
    Clock::time_point start_ = Clock::now();
    std::int64_t saved_step_ = -1;        // step of the newest checkpoint
    std::int64_t saved_validation_ = -1;  // validated_step in it
    std::int64_t failed_saves_ = 0;       // in a row
    bool new_best_ = false;               // not saved yet
    bool metrics_wait_ = false;           // a warning was given that metrics.csv cannot be written

    // For the progress line and tokens_per_second.
    SmoothedLoss smoothed_loss_;
    ProgressLine line_;
    Clock::time_point
        working_since_{};  // when the oldest step under way was begun, or the one before it was finished if that was later
    double step_seconds_ = 0, validation_seconds_ = 0, save_seconds_ = 0;  // sums
    double wait_seconds_ = 0;  // for batches while no step was under way: not in step_seconds_
    std::int64_t steps_ = 0, validations_ = 0, validated_samples_ = 0, saves_ = 0, best_saves_ = 0;
    double logged_seconds_ = 0, logged_tokens_ = 0;  // since the last row
    double tokens_ = 0, flops_ = 0;
};

}  // namespace locus
