// locus compare: what is compared, the plan, and then the work of train/comparison/session.h.

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include <fmt/core.h>
#include <fmt/format.h>

#include "data/synthetic.h"
#include "data/token_shards.h"
#include "train/atomic_file.h"
#include "train/commands.h"
#include "train/comparison/folder_lock.h"
#include "train/comparison/run_speed.h"
#include "train/comparison/session.h"
#include "train/comparison/tables.h"
#include "train/configuration/settings_of_tree.h"
#include "train/error.h"
#include "train/log.h"
#include "train/plan.h"
#include "train/prepared_data.h"
#include "train/progress_line.h"
#include "train/signals.h"
#include "train/threads.h"

namespace locus {

namespace fs = std::filesystem;

namespace {

constexpr const char* copy_of_configuration = "comparison.yaml";  // by which a folder is known as a comparison's

bool is_wanted(const CompareCommand& command, const ComparisonBlock& block) {
    return command.only.empty() ||
           std::find(command.only.begin(), command.only.end(), block.name) != command.only.end();
}

void check_only(const CompareCommand& command, const Comparison& comparison) {
    for (const std::string& name : command.only) {
        const auto is_there = [&](const ComparisonBlock& block) { return block.name == name; };
        if (std::none_of(comparison.blocks.begin(), comparison.blocks.end(), is_there))
            throw ConfigurationError(fmt::format("--only {}: there is no such block", name));
    }
}

/// Text is read and cut into tokens once, before children need it side by side. Returns for each block the validation text.
std::vector<std::vector<std::string>> prepare_text(const CompareCommand& command, const Comparison& comparison) {
    const auto show = [](std::string_view what, std::int64_t done, std::int64_t total) {
        check_signals();
        ProgressLine::show_activity(std::string(what), done, total);
    };
    std::vector<std::vector<std::string>> validation;
    for (const ComparisonBlock& block : comparison.blocks) {
        const Settings& settings = block.shared();
        if (is_wanted(command, block)) prepare_data(settings, show);
        ProgressLine::clear();
        const SyntheticSettings& synthetic = settings.data.synthetic;
        if (synthetic.enabled) {
            validation.push_back(
                {write_synthetic_corpus(synthetic, cache_folder() / "synthetic", show).valid.string()});
        } else {
            validation.push_back(settings.data.valid);
        }
    }
    return validation;
}

void make_folder(const fs::path& folder) {
    const bool is_new = !fs::exists(folder) || (fs::is_directory(folder) && fs::is_empty(folder));
    if (!is_new && !fs::exists(folder / copy_of_configuration))
        throw ConfigurationError(fmt::format(
            "{}: exists, and is no comparison; choose another compare.name, or delete it", folder.string()));
    fs::create_directories(folder);
}

/// A comparison that goes on keeps its budget, and with it its steps.
double budget_of(const CompareCommand& command, const fs::path& folder) {
    if (!command.budget.empty()) return parse_duration(command.budget);
    const double kept = planned_budget(folder);
    if (kept > 0) log_line(fmt::format("the budget is that of before: {}", duration_text(kept)));
    return kept;
}

std::string describe_plan(const CompareCommand& command, const Comparison& comparison, const StepPlan& plan, int jobs) {
    std::string text =
        fmt::format("{:<20} {:<24} {:>5} {:>8} {:>10} {:>9}\n", "block", "run", "seeds", "steps", "tokens", "time");
    std::size_t runs = 0;
    double tokens = 0;
    for (const PlannedModel& planned : plan.models) {
        const ComparisonBlock& block = comparison.blocks[planned.block];
        if (!is_wanted(command, block)) continue;
        const auto run_tokens = static_cast<double>(planned.steps * block.tokens_per_step());
        if (!planned.left_out) runs += block.seeds.size();
        tokens += run_tokens * static_cast<double>(block.seeds.size());
        text += fmt::format("{:<20} {:<24} {:>5} {:>8} {:>10} {:>9}\n", block.name, block.models[planned.model].name,
                            block.seeds.size(), planned.left_out ? "left out" : with_separators(planned.steps),
                            planned.left_out ? "-" : quantity_text(run_tokens),
                            planned.seconds > 0 ? duration_text(planned.seconds) : "-");
    }
    text += fmt::format("{} runs, {} side by side, {} tokens in all", runs, jobs, quantity_text(tokens));
    if (plan.budget > 0)
        text += fmt::format("; about {} of the budget of {}", duration_text(plan.seconds), duration_text(plan.budget));
    return text + "\n";
}

/// Refuses what does not fit to the runs that are there, before anything is changed.
PlannedRuns look_up_runs(const Comparison& comparison, const StepPlan& plan,
                         const std::vector<std::vector<std::string>>& text) {
    PlannedRuns planned = make_runs(comparison, plan, text);
    for (ComparedRun& run : planned.runs) look_up(run);
    return planned;
}

int compare(const CompareCommand& command, const Comparison& comparison) {
    const fs::path folder = comparison.folder();
    const int jobs = comparison.jobs > 0 ? static_cast<int>(comparison.jobs) : usable_cores();
    const std::vector<std::vector<std::string>> text = prepare_text(command, comparison);
    make_folder(folder);
    const FolderLock lock(folder);
    const std::string configuration = read_configuration_file(command.configuration);
    if (!fs::exists(folder / copy_of_configuration))
        write_file_atomically(folder / copy_of_configuration, configuration);
    const LogFile log(folder / "log.txt");
    StepPlan plan = plan_as_configured(comparison);
    if (const double budget = budget_of(command, folder); budget > 0) {
        const MeasuredSpeeds measured = measure_speeds(comparison, text, jobs);
        plan = plan_for_budget(comparison, measured.speeds, jobs, budget, measured.seconds);
    }
    fmt::print("{}", describe_plan(command, comparison, plan, jobs));
    std::fflush(stdout);
    if (command.dry_run) return exit_done;
    PlannedRuns planned = look_up_runs(comparison, plan, text);
    if (!command.only.empty()) keep_blocks(planned, command.only);
    write_file_atomically(folder / "plan.csv", plan_csv(comparison, plan));
    write_file_atomically(folder / copy_of_configuration, configuration);
    const int code = run_session(planned, folder, jobs);
    fmt::print("tables: {}/runs.csv, lengths.csv, probes.csv, times.csv\n", folder.string());
    return code;
}

}  // namespace

int run_compare(const CompareCommand& command) {
    const Comparison comparison = read_comparison(command.configuration, command.overrides);
    check_only(command, comparison);
    if (!command.budget.empty()) parse_duration(command.budget);
    const SignalGuard guard;
    forget_waiting_lines();
    use_threads(0);
    if (!command.dry_run || !command.budget.empty()) return compare(command, comparison);
    const int jobs = comparison.jobs > 0 ? static_cast<int>(comparison.jobs) : usable_cores();
    fmt::print("{}Nothing was trained (--dry-run).\n",
               describe_plan(command, comparison, plan_as_configured(comparison), jobs));
    return exit_done;
}

}  // namespace locus
