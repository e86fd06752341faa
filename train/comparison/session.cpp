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
    explicit Advance(const PlannedRuns& planned)
        : runs_(planned.runs), wanted_(planned.order), ended_(planned.runs.size()) {
        for (const std::size_t n : wanted_) {
            total_ += static_cast<double>(planned_tokens(runs_[n]));
            if (is_finished(runs_[n])) end(n);
        }
        at_begin_ = tokens();
    }

    void end(std::size_t run) { ended_[run] = true; }

    /// "7 of 15 runs, 105.1k tokens/s, 3m12s left".
    std::string text() const {
        const auto done = std::count(ended_.begin(), ended_.end(), true);
        const double seconds = std::chrono::duration<double>(Clock::now() - begin_).count();
        const double now = tokens(), speed = (now - at_begin_) / std::max(seconds, 1e-9);
        std::string text = fmt::format("{} of {} runs", done, wanted_.size());
        if (speed <= 0) return text;
        text += fmt::format(", {} tokens/s", quantity_text(speed));
        return now >= total_ ? text : text + fmt::format(", {} left", duration_text((total_ - now) / speed));
    }

private:
    using Clock = std::chrono::steady_clock;

    double tokens() const {
        double sum = 0;
        for (const std::size_t n : wanted_) {
            const std::vector<MetricsCells> rows =
                ended_[n] ? std::vector<MetricsCells>() : read_metrics(runs_[n].folder());
            sum += ended_[n] ? static_cast<double>(planned_tokens(runs_[n])) : 0;
            sum += rows.empty() ? 0 : number_in(rows.back().tokens);
        }
        return sum;
    }

    const std::vector<ComparedRun>& runs_;
    const std::vector<std::size_t>& wanted_;
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

/// The run whose weights this one starts from; nullptr: none.
const ComparedRun* source_of(const ComparedRun& run, const std::vector<ComparedRun>& runs) {
    if (run.init_from.empty()) return nullptr;
    const auto source = std::find_if(runs.begin(), runs.end(), [&](const ComparedRun& other) {
        return other.seed == run.seed && other.block + "/" + other.model == run.init_from;
    });
    return source == runs.end() ? nullptr : &*source;
}

/// 0: starts by itself; 1: after a run that does; and so on.
int wave_of(const ComparedRun& run, const std::vector<ComparedRun>& runs) {
    const ComparedRun* const source = source_of(run, runs);
    return source == nullptr ? 0 : 1 + wave_of(*source, runs);
}

/// The commands to start a wave with. A run whose source has not been trained fails.
std::deque<ChildCommand> commands_of_wave(PlannedRuns& planned, int wave) {
    std::deque<ChildCommand> queue;
    for (const std::size_t n : planned.order) {
        ComparedRun& run = planned.runs[n];
        if (is_finished(run) || wave_of(run, planned.runs) != wave) continue;
        const ComparedRun* const source = source_of(run, planned.runs);
        if (!run.init_from.empty() && (source == nullptr || !is_trained(*source))) {
            run.failure =
                fmt::format("{} seed {}, which it starts from, has not been trained", run.init_from, run.seed);
            log_line(fmt::format("{}: failed: {}", run.name(), run.failure));
        } else {
            queue.push_back(next_command(run, n));
        }
    }
    return queue;
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

void keep_blocks(PlannedRuns& planned, const std::vector<std::string>& blocks) {
    for (const std::string& name : blocks) {
        const auto is_there = [&](const ComparedRun& run) { return run.block == name; };
        if (std::none_of(planned.runs.begin(), planned.runs.end(), is_there))
            throw ConfigurationError(fmt::format("--only {}: there is no such block with runs to train", name));
    }
    std::erase_if(planned.order, [&](std::size_t n) {
        return std::find(blocks.begin(), blocks.end(), planned.runs[n].block) == blocks.end();
    });
}

int run_session(PlannedRuns& planned, const fs::path& folder, int jobs) {
    std::vector<ComparedRun>& runs = planned.runs;
    Advance advance(planned);
    const auto finished =
        std::count_if(planned.order.begin(), planned.order.end(), [&](std::size_t n) { return is_finished(runs[n]); });
    if (finished > 0) log_line(fmt::format("{} of {} runs are finished already", finished, planned.order.size()));
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
        if (!is_finished(run) && run.failure.empty())
            return pending_signal() == 0 ? std::optional(next_command(run, command.number)) : std::nullopt;
        advance.end(command.number);
        tables_are_old = true;
        log_line(fmt::format("{}: {}  ({})", run.name(), result_of(run), advance.text()));
        return std::nullopt;
    };
    int waves = 0, signal = 0;
    for (const ComparedRun& run : runs) waves = std::max(waves, 1 + wave_of(run, runs));
    for (int wave = 0; wave < waves && signal == 0; ++wave)
        signal = run_side_by_side(commands_of_wave(planned, wave), jobs, follow_up, tick);
    Terminal::standard().clear_status();
    write_tables(folder, runs, planned.left_out);
    if (signal == 0) return exit_code_of(runs);
    log_line(fmt::format("{}: stopped; the same command goes on from here", signal_name(signal)));
    return 128 + signal;
}

}  // namespace locus
