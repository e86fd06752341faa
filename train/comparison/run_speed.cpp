#include "train/comparison/run_speed.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>

#include <fmt/format.h>

#include "train/atomic_file.h"
#include "train/comparison/compared_run.h"
#include "train/comparison/run_metrics.h"
#include "train/configuration/values.h"
#include "train/log.h"
#include "train/progress_line.h"
#include "train/signals.h"

namespace locus {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t steps_to_measure = 12;  // the first half warms up

struct Measurement {
    RunSpeed speed;
    double seconds = 0;
};

/// By everything that the speed may depend on: the first four columns of speed.csv.
using Measurements = std::map<std::string, Measurement>;

std::string key_of(const ComparisonBlock& block, const ComparedModel& model, int jobs) {
    return fmt::format("{},{},{},{}", block.name, model.name, configuration_hash(model.settings, model.init_from),
                       jobs);
}

Measurements read_measurements(const fs::path& file) {
    Measurements found;
    std::ifstream stream(file);
    std::string line;
    std::getline(stream, line);  // the header
    while (std::getline(stream, line)) {
        std::size_t end = 0;
        for (int column = 0; column < 4 && end != std::string::npos; ++column) end = line.find(',', end + 1);
        if (end == std::string::npos) continue;
        std::istringstream cells(line.substr(end + 1));
        std::vector<double> numbers;
        for (std::string cell; std::getline(cells, cell, ',');) numbers.push_back(number_in(cell));
        if (numbers.size() != 5) continue;
        found[line.substr(0, end)] = {{numbers[0], numbers[1], numbers[2], numbers[3]}, numbers[4]};
    }
    return found;
}

void write_measurements(const fs::path& file, const Measurements& measurements) {
    std::string csv =
        "block,run,configuration,jobs,seconds_per_step,seconds_per_validation,seconds_around,seconds_to_evaluate,"
        "seconds_to_measure\n";
    for (const auto& [key, measured] : measurements) {
        const RunSpeed& speed = measured.speed;
        csv += fmt::format("{},{},{},{},{},{}\n", key, speed.per_step, speed.per_validation, speed.around,
                           speed.evaluate, measured.seconds);
    }
    write_file_atomically(file, csv);
}

/// What a training run of a few steps tells.
RunSpeed speed_of(const ComparedRun& run, double seconds) {
    const std::vector<MetricsCells> steps = read_metrics(run.folder(), "train");
    const std::vector<MetricsCells> validations = read_metrics(run.folder(), "valid");
    if (steps.empty() || validations.empty()) return {};
    const Settings& settings = run.settings;
    const double tokens = static_cast<double>(settings.train.batch_size * settings.train.gradient_accumulation *
                                              settings.data.sequence_length);
    RunSpeed speed;
    speed.per_step = tokens / std::max(number_in(steps.back().tokens_per_second), 1e-9);
    speed.per_validation =
        std::max(0.0, number_in(validations.back().elapsed_seconds) - number_in(steps.back().elapsed_seconds));
    speed.around =
        std::max(0.0, seconds - speed.per_validation - speed.per_step * static_cast<double>(steps_to_measure));
    return speed;
}

ComparedRun run_to_measure(const ComparisonBlock& block, const ComparedModel& model, const fs::path& root,
                           const std::vector<std::string>& text) {
    ComparedRun run = make_run(block, model, block.seeds.front(), steps_to_measure, root);
    run.evaluation = evaluation_options(block, model, text);
    run.settings.train.log_every = steps_to_measure / 2;
    run.settings.train.evaluate_every = 0;
    run.settings.train.checkpoint_every = 0;
    return run;
}

/// A model that is still to be measured.
struct Subject {
    ComparedRun run;
    std::string key;
};

std::vector<Subject> missing_subjects(const Comparison& comparison, const std::vector<std::vector<std::string>>& text,
                                      int jobs, const fs::path& folder, const Measurements& measurements) {
    std::vector<Subject> missing;
    for (std::size_t b = 0; b < comparison.blocks.size(); ++b) {
        const ComparisonBlock& block = comparison.blocks[b];
        for (const ComparedModel& model : block.models) {
            const std::string key = key_of(block, model, jobs);
            if (measurements.count(key) == 0) missing.push_back({run_to_measure(block, model, folder, text[b]), key});
        }
    }
    return missing;
}

/// Trains and evaluates the subjects, and keeps what they took.
void measure(std::vector<Subject>& subjects, int jobs, const fs::path& file, Measurements& measurements) {
    std::deque<ChildCommand> queue;
    for (std::size_t n = 0; n < subjects.size(); ++n) queue.push_back(next_command(subjects[n].run, n));
    std::string failure;
    std::size_t done = 0;
    const FollowUp follow_up = [&](const ChildCommand& command, const ChildEnd& end) -> std::optional<ChildCommand> {
        auto& [run, key] = subjects[command.number];
        record_end(run, command, end);
        Measurement& measured = measurements[key];
        const bool trains = command.arguments.front() == "train";
        if (trains) measured.speed = speed_of(run, end.seconds);
        if (!trains) measured.speed.evaluate = end.seconds;
        measured.seconds += end.seconds;
        if (!run.failure.empty() && run.outcome.diverged.empty()) {
            measurements.erase(key);
            if (pending_signal() == 0) failure = fmt::format("{}: {}", run.name(), run.failure);
            return std::nullopt;
        }
        if (!is_finished(run)) return next_command(run, command.number);
        ProgressLine::show_activity("measuring the speed of the models", static_cast<std::int64_t>(++done),
                                    static_cast<std::int64_t>(subjects.size()));
        return std::nullopt;
    };
    const int signal = run_side_by_side(std::move(queue), jobs, follow_up, [] {});
    ProgressLine::clear();
    if (signal != 0) throw Interrupted{signal};
    if (!failure.empty()) throw std::runtime_error("the speed cannot be measured: " + failure);
    write_measurements(file, measurements);
}

}  // namespace

MeasuredSpeeds measure_speeds(const Comparison& comparison, const std::vector<std::vector<std::string>>& text,
                              int jobs) {
    const fs::path file = comparison.folder() / "speed.csv", folder = comparison.folder() / ".speed";
    Measurements measurements = read_measurements(file);
    fs::remove_all(folder);  // of a session that was stopped in it
    std::vector<Subject> missing = missing_subjects(comparison, text, jobs, folder, measurements);
    if (!missing.empty()) {
        log_line(fmt::format("measuring the speed of {} models, {} steps each", missing.size(), steps_to_measure));
        measure(missing, jobs, file, measurements);
    }
    fs::remove_all(folder);
    MeasuredSpeeds measured;
    for (const ComparisonBlock& block : comparison.blocks) {
        for (const ComparedModel& model : block.models) {
            const Measurement& one = measurements.at(key_of(block, model, jobs));
            measured.speeds.push_back(one.speed);
            measured.seconds += one.seconds / jobs;
        }
    }
    return measured;
}

}  // namespace locus
