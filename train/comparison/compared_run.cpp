#include "train/comparison/compared_run.h"

#include <algorithm>
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "data/fingerprint.h"
#include "train/atomic_file.h"
#include "train/beyond.h"
#include "train/checkpoint.h"
#include "train/comparison/step_plan.h"
#include "train/configuration.h"
#include "train/configuration/values.h"
#include "train/error.h"
#include "train/run_folder.h"
#include "train/trainer.h"

namespace locus {

namespace fs = std::filesystem;

namespace {

fs::path outcome_file(const ComparedRun& run) { return run.folder() / "outcome.json"; }

RunOutcome read_outcome(const fs::path& file) {
    RunOutcome outcome;
    std::ifstream stream(file);
    const nlohmann::json json = nlohmann::json::parse(stream, nullptr, false);
    if (!json.is_object()) return outcome;  // none yet, or damaged: what it tells can be found again
    outcome.diverged = json.value("diverged", outcome.diverged);
    outcome.evaluated = json.value("evaluated", outcome.evaluated);
    outcome.evaluation_seconds = json.value("evaluation_seconds", outcome.evaluation_seconds);
    outcome.peak_memory = json.value("peak_memory", outcome.peak_memory);
    return outcome;
}

void write_outcome(const ComparedRun& run) {
    const RunOutcome& outcome = run.outcome;
    const nlohmann::json json = {{"diverged", outcome.diverged},
                                 {"evaluated", outcome.evaluated},
                                 {"evaluation_seconds", outcome.evaluation_seconds},
                                 {"peak_memory", outcome.peak_memory}};
    write_file_atomically(outcome_file(run), json.dump(2) + "\n");
}

/// Refuses a folder with a run of another configuration. One that has not saved anything can be begun anew.
void check_configuration(const ComparedRun& run) {
    const fs::path file = run.folder() / "config.yaml";
    const bool has_results = fs::is_directory(run.folder() / "checkpoints") || !run.outcome.diverged.empty();
    if (!has_results || !fs::is_regular_file(file)) return;
    Settings then = read_configuration(file);
    then.run.directory = run.settings.run.directory;  // the whole comparison may have been moved
    if (!run.init_from.empty()) then.train.init_from = run.settings.train.init_from;
    std::string text;
    for (const auto& [key, old, now] :
         configuration_differences(write_configuration(then), write_configuration(run.settings)))
        text += fmt::format("\n  {}: {} there, {} now", key, old, now);
    if (text.empty()) return;
    throw ConfigurationError(
        fmt::format("{}: this run was begun with another configuration:{}\nrestore it, choose another compare.name, or "
                    "delete the folder",
                    run.folder().string(), text));
}

std::string joined(const std::vector<std::string>& texts, const char* separator) {
    return fmt::format("{}", fmt::join(texts, separator));
}

bool is_training(const ChildCommand& command) { return command.arguments.front() == "train"; }

std::string describe_end(const ChildCommand& command, const ChildEnd& end) {
    const std::string error = error_in(command.output);
    const std::string what = is_training(command) ? "" : "evaluation: ";
    if (!error.empty()) return what + error;
    constexpr int of_a_signal = 128;
    return end.code > of_a_signal ? fmt::format("{}ended by signal {}", what, end.code - of_a_signal)
                                  : fmt::format("{}ended with exit code {}", what, end.code);
}

}  // namespace

fs::path ComparedRun::folder() const { return run_folder(settings); }
fs::path ComparedRun::figures() const { return folder() / (is_probe() ? "probe.csv" : "length_extrapolation.csv"); }
std::string ComparedRun::name() const { return fmt::format("{}/{} seed {}", block, model, seed); }

ComparedRun make_run(const ComparisonBlock& block, const ComparedModel& model, std::int64_t seed, std::int64_t steps,
                     const fs::path& root) {
    ComparedRun run;
    run.block = block.name;
    run.model = model.name;
    run.seed = seed;
    run.settings = model.settings;
    run.settings.run.name = fmt::format("seed-{}", seed);
    run.settings.run.directory = (root / block.name / model.name).string();
    run.settings.run.seed = static_cast<std::uint32_t>(seed);
    run.settings.run.threads = 1;
    run.settings.train = with_steps(model.settings.train, steps);
    run.init_from = model.init_from;
    if (!run.init_from.empty())
        run.settings.train.init_from = (root / run.init_from / run.settings.run.name / "latest").string();
    return run;
}

std::vector<std::string> evaluation_options(const ComparisonBlock& block, const ComparedModel& model,
                                            const std::vector<std::string>& text) {
    const EvaluationSettings& evaluate = block.evaluate;
    std::vector<std::string> options = {"--threads", "1"};
    const auto add = [&](const char* name, const std::string& value) { options.insert(options.end(), {name, value}); };
    if (!evaluate.lengths.empty()) add("--lengths", fmt::format("{}", fmt::join(evaluate.lengths, ",")));
    if (evaluate.samples > 0) add("--samples", std::to_string(evaluate.samples));
    if (block.is_probe()) return options;
    if (evaluate.lengths.empty()) return {};
    options.emplace_back("--text");
    const std::vector<std::string>& files = evaluate.text.empty() ? text : evaluate.text;
    options.insert(options.end(), files.begin(), files.end());
    if (!evaluate.schemes.empty()) add("--schemes", joined(evaluate.schemes, ","));
    if (!evaluate.boundary.empty()) add("--boundary", evaluate.boundary);
    std::vector<std::string> policies;  // a model without a table knows none
    const std::vector<std::string> known = beyond_policies(model.settings.model);
    for (const std::string& policy : evaluate.beyond)
        if (std::find(known.begin(), known.end(), policy) != known.end()) policies.push_back(policy);
    if (!policies.empty()) add("--beyond", joined(policies, ","));
    add("--mask-probability", write_number(evaluate.mask_probability));
    add("--seed", std::to_string(evaluate.seed));
    if (evaluate.window > 0) add("--window", std::to_string(evaluate.window));
    if (evaluate.shift > 0) add("--shift", std::to_string(evaluate.shift));
    if (evaluate.logn) options.emplace_back("--logn");
    return options;
}

void look_up(ComparedRun& run) {
    run.outcome = read_outcome(outcome_file(run));
    check_configuration(run);
}

bool is_trained(const ComparedRun& run) {
    const fs::path latest = run.folder() / "latest";
    if (!fs::exists(latest / "trainer.json")) return false;
    try {
        const TrainerState state = read_trainer_state(latest);
        return state.step == run.settings.train.steps && state.validated_step == state.step;
    } catch (const FileError&) {
        return false;  // training finds an older checkpoint, or says what is wrong
    }
}

bool is_evaluated(const ComparedRun& run) {
    return run.evaluation.empty() ||
           (run.outcome.evaluated == joined(run.evaluation, " ") && fs::is_regular_file(run.figures()));
}

bool is_finished(const ComparedRun& run) {
    return !run.outcome.diverged.empty() || (is_trained(run) && is_evaluated(run));
}

ChildCommand next_command(const ComparedRun& run, std::size_t number) {
    const fs::path folder = run.folder(), output = folder / "output.txt";
    if (is_trained(run)) {
        std::vector<std::string> arguments = {"evaluate", (folder / "latest").string()};
        arguments.insert(arguments.end(), run.evaluation.begin(), run.evaluation.end());
        arguments.insert(arguments.end(), {"--csv", run.figures().string()});
        return {arguments, output, number};
    }
    fs::create_directories(folder);
    const fs::path configuration = folder / "config.yaml";
    write_file_atomically(configuration, write_configuration(run.settings));
    return {{"train", configuration.string(), "--resume"}, output, number};
}

void record_end(ComparedRun& run, const ChildCommand& command, const ChildEnd& end) {
    run.failure.clear();
    if (end.code != exit_done) {
        run.failure = describe_end(command, end);
        if (end.code == exit_not_finite && is_training(command)) run.outcome.diverged = run.failure;
    } else if (is_training(command) && !is_trained(run)) {
        run.failure = "ended without its last checkpoint";
    } else if (is_training(command)) {
        run.outcome.peak_memory = end.peak_memory;
    } else {
        run.outcome.evaluated = joined(run.evaluation, " ");
        run.outcome.evaluation_seconds = end.seconds;
    }
    if (run.failure.empty() || !run.outcome.diverged.empty()) write_outcome(run);
}

std::string configuration_hash(const Settings& settings, const std::string& init_from) {
    Settings bare = settings;
    bare.run = RunSettings();
    bare.run.precision = settings.run.precision;
    if (!init_from.empty()) bare.train.init_from = init_from;
    return hexadecimal(fingerprint(write_configuration(bare)));
}

}  // namespace locus
