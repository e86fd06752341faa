#include "train/comparison/tables.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>

#include <fmt/format.h>

#include "model/position/position_encoding.h"
#include "train/atomic_file.h"
#include "train/comparison/run_metrics.h"
#include "train/safetensors.h"

namespace locus {

namespace fs = std::filesystem;

namespace {

/// A text as a cell: one line, quoted where it would break the row.
std::string cell_of(std::string text) {
    std::replace(text.begin(), text.end(), '\n', ' ');
    if (text.find_first_of(",\"") == std::string::npos) return text;
    std::string quoted = "\"";
    for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
    return quoted + "\"";
}

std::string status_of(const ComparedRun& run, bool finished) {
    if (!run.outcome.diverged.empty()) return "diverged";
    if (finished) return "done";
    return run.failure.empty() ? "unfinished" : "failed";
}

/// Weights in the checkpoint; tied ones count once.
std::string parameters_of(const fs::path& checkpoint) {
    const SafetensorsFile file(checkpoint / "model.safetensors");
    std::int64_t count = 0;
    for (const auto& [name, tensor] : file.tensors()) {
        std::int64_t elements = 1;
        for (const std::int64_t size : tensor.shape) elements *= size;
        count += elements;
    }
    return std::to_string(count);
}

std::string key_cells(const ComparedRun& run) { return fmt::format("{},{},{}", run.block, run.model, run.seed); }

std::string runs_row(const ComparedRun& run, const std::string& status) {
    const bool done = status == "done";
    const std::vector<MetricsCells> rows =
        done || status == "diverged" ? read_metrics(run.folder(), done ? "valid" : "") : std::vector<MetricsCells>();
    const MetricsCells last = rows.empty() ? MetricsCells() : rows.back();
    const std::string& reason = run.outcome.diverged.empty() ? run.failure : run.outcome.diverged;
    return fmt::format("{},{},{},{},{},{},{},{},{},{},{}\n", key_cells(run), encoding_names(run.settings.model), status,
                       last.step, last.tokens, run.settings.data.sequence_length, done ? last.loss : "",
                       done ? last.masked_accuracy : "", done ? parameters_of(run.folder() / "latest") : "",
                       configuration_hash(run.settings, run.init_from), cell_of(reason));
}

/// Empty when no step was logged.
std::string median(std::vector<double> values) {
    if (values.empty()) return {};
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return fmt::format("{}", *middle);
}

std::string times_row(const ComparedRun& run) {
    std::vector<double> speeds;
    for (const MetricsCells& row : read_metrics(run.folder(), "train"))
        speeds.push_back(number_in(row.tokens_per_second));
    const std::vector<MetricsCells> all = read_metrics(run.folder());
    const RunOutcome& outcome = run.outcome;
    return fmt::format("{},{},{},{},{}\n", key_cells(run), median(speeds),
                       all.empty() ? "" : all.back().elapsed_seconds, outcome.evaluation_seconds,
                       outcome.peak_memory > 0 ? std::to_string(outcome.peak_memory) : "");
}

/// The figures of a run's own CSV, each row with the run before it. The first one brings the header.
void add_figures(const ComparedRun& run, std::string& table) {
    std::ifstream file(run.figures());
    std::string line;
    std::getline(file, line);
    if (table.empty()) table = "block,run,seed," + line + "\n";
    while (std::getline(file, line)) table += key_cells(run) + "," + line + "\n";
}

/// A table without rows says nothing about what is missing: the file is then left out.
void write_table(const fs::path& file, const std::string& text) {
    if (text.empty()) {
        fs::remove(file);
    } else {
        write_file_atomically(file, text);
    }
}

}  // namespace

void write_tables(const fs::path& folder, const std::vector<ComparedRun>& runs,
                  const std::vector<ComparedRun>& left_out) {
    std::string table =
        "block,run,seed,encoding,status,steps,tokens,train_length,validation_loss,validation_accuracy,parameters,"
        "configuration,reason\n";
    std::string lengths, probes,
        times = "block,run,seed,tokens_per_second,seconds,evaluation_seconds,peak_memory_bytes\n";
    for (const ComparedRun& run : runs) {
        const bool finished = is_finished(run);
        const std::string status = status_of(run, finished);
        table += runs_row(run, status);
        if (status != "done") continue;
        times += times_row(run);
        if (!run.evaluation.empty()) add_figures(run, run.is_probe() ? probes : lengths);
    }
    for (const ComparedRun& run : left_out) table += runs_row(run, "left_out");
    write_table(folder / "runs.csv", table);
    write_table(folder / "lengths.csv", lengths);
    write_table(folder / "probes.csv", probes);
    write_table(folder / "times.csv", times);
}

std::string plan_csv(const Comparison& comparison, const StepPlan& plan) {
    std::string csv = "budget,block,run,decision,seeds,steps,tokens,seconds\n";
    for (const PlannedModel& planned : plan.models) {
        const ComparisonBlock& block = comparison.blocks[planned.block];
        csv += fmt::format("{},{},{},{},{},{},{},{}\n", plan.budget, block.name, block.models[planned.model].name,
                           planned.left_out ? "left_out" : "train", block.seeds.size(), planned.steps,
                           planned.steps * block.tokens_per_step(), planned.seconds);
    }
    return csv;
}

double planned_budget(const fs::path& folder) {
    std::ifstream file(folder / "plan.csv");
    std::string line;
    std::getline(file, line);
    std::getline(file, line);
    return number_in(line.substr(0, line.find(',')));
}

}  // namespace locus
