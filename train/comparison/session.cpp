#include "train/comparison/session.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "train/comparison/run_metrics.h"
#include "train/comparison/tables.h"
#include "train/error.h"
#include "train/log.h"
#include "train/progress_line.h"
#include "train/signals.h"
#include "train/terminal.h"

namespace locus {

namespace fs = std::filesystem;

namespace {

std::int64_t planned_tokens(const ComparedRun& run) {
    const TrainSettings& train = run.settings.train;
    return train.steps * train.batch_size * train.gradient_accumulation * run.settings.data.sequence_length;
}

/// How far the runs are, in tokens, of this session and the ones before.
class Advance {
public:
    explicit Advance(const std::vector<ComparedRun>& runs) : runs_(runs), ended_(runs.size()) {
        for (std::size_t n = 0; n < runs.size(); ++n) {
            total_ += static_cast<double>(planned_tokens(runs[n]));
            if (is_finished(runs[n])) end(n);
        }
        at_begin_ = tokens();
    }

    void end(std::size_t run) { ended_[run] = true; }

    /// "7 of 15 runs, 105.1k tokens/s, 3m12s left".
    std::string text() const {
        const auto done = std::count(ended_.begin(), ended_.end(), true);
        const double seconds = std::chrono::duration<double>(Clock::now() - begin_).count();
        const double now = tokens(), speed = (now - at_begin_) / std::max(seconds, 1e-9);
        std::string text = fmt::format("{} of {} runs", done, runs_.size());
        if (speed <= 0) return text;
        text += fmt::format(", {} tokens/s", quantity_text(speed));
        return now >= total_ ? text : text + fmt::format(", {} left", duration_text((total_ - now) / speed));
    }

private:
    using Clock = std::chrono::steady_clock;

    double tokens() const {
        double sum = 0;
        for (std::size_t n = 0; n < runs_.size(); ++n) {
            const std::vector<MetricsCells> rows =
                ended_[n] ? std::vector<MetricsCells>() : read_metrics(runs_[n].folder());
            sum += ended_[n] ? static_cast<double>(planned_tokens(runs_[n])) : 0;
            sum += rows.empty() ? 0 : number_in(rows.back().tokens);
        }
        return sum;
    }

    const std::vector<ComparedRun>& runs_;
    std::vector<bool> ended_;
    double total_ = 0, at_begin_ = 0;
    Clock::time_point begin_ = Clock::now();
};

std::string result_of(const ComparedRun& run) {
    if (!run.failure.empty()) return (run.outcome.diverged.empty() ? "failed: " : "diverged: ") + run.failure;
    const std::vector<MetricsCells> rows = read_metrics(run.folder(), "valid");
    if (rows.empty()) return "done";
    return fmt::format("validation loss {:.4f}, accuracy {:.2f}%", number_in(rows.back().loss),
                       100 * number_in(rows.back().masked_accuracy));
}

int exit_code_of(const std::vector<ComparedRun>& runs) {
    const bool failed = std::any_of(runs.begin(), runs.end(), [](const ComparedRun& run) {
        return !run.failure.empty() && run.outcome.diverged.empty();
    });
    const bool diverged =
        std::any_of(runs.begin(), runs.end(), [](const ComparedRun& run) { return !run.outcome.diverged.empty(); });
    if (failed) return exit_other;
    return diverged ? exit_not_finite : exit_done;
}

}  // namespace

PlannedRuns make_runs(const Comparison& comparison, const StepPlan& plan,
                      const std::vector<std::vector<std::string>>& text) {
    PlannedRuns planned;
    std::vector<std::size_t> rounds;  // of each run, the place of its seed in the list
    for (const PlannedModel& entry : plan.models) {
        const ComparisonBlock& block = comparison.blocks[entry.block];
        const ComparedModel& model = block.models[entry.model];
        for (std::size_t round = 0; round < block.seeds.size(); ++round) {
            const std::int64_t steps = entry.left_out ? block.shared().train.steps : entry.steps;
            ComparedRun run = make_run(block, model, block.seeds[round], steps, comparison.folder());
            run.evaluation = evaluation_options(block, model, text[entry.block]);
            if (!entry.left_out) rounds.push_back(round);
            (entry.left_out ? planned.left_out : planned.runs).push_back(std::move(run));
        }
    }
    for (std::size_t n = 0; n < planned.runs.size(); ++n) planned.order.push_back(n);
    std::stable_sort(planned.order.begin(), planned.order.end(),
                     [&](std::size_t a, std::size_t b) { return rounds[a] < rounds[b]; });
    return planned;
}

int run_session(PlannedRuns& planned, const fs::path& folder, int jobs) {
    std::vector<ComparedRun>& runs = planned.runs;
    Advance advance(runs);
    std::deque<ChildCommand> queue;
    for (const std::size_t n : planned.order)
        if (!is_finished(runs[n])) queue.push_back(next_command(runs[n], n));
    if (queue.size() < runs.size())
        log_line(fmt::format("{} of {} runs are finished already", runs.size() - queue.size(), runs.size()));
    write_tables(folder, runs, planned.left_out);

    bool tables_are_old = false;
    const auto tick = [&] {
        if (std::exchange(tables_are_old, false)) write_tables(folder, runs, planned.left_out);
        Terminal::standard().status(advance.text());
    };
    const FollowUp follow_up = [&](const ChildCommand& command, const ChildEnd& end) -> std::optional<ChildCommand> {
        ComparedRun& run = runs[command.number];
        record_end(run, command, end);
        if (end.code > 128 && pending_signal() != 0) run.failure.clear();  // it was told to stop
        const bool finished = is_finished(run);
        if (!finished && run.failure.empty())
            return pending_signal() == 0 ? std::optional(next_command(run, command.number)) : std::nullopt;
        advance.end(command.number);
        tables_are_old = true;
        log_line(fmt::format("{}: {}  ({})", run.name(), result_of(run), advance.text()));
        return std::nullopt;
    };
    const int signal = run_side_by_side(std::move(queue), jobs, follow_up, tick);
    Terminal::standard().clear_status();
    write_tables(folder, runs, planned.left_out);
    if (signal == 0) return exit_code_of(runs);
    log_line(fmt::format("{}: stopped; the same command goes on from here", signal_name(signal)));
    return 128 + signal;
}

}  // namespace locus
