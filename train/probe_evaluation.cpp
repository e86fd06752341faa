#include "train/probe_evaluation.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <optional>

#include <fmt/core.h>
#include <fmt/format.h>

#include "data/error.h"
#include "data/probes/probe_batches.h"
#include "kernels/memory.h"
#include "model/position/position_encoding.h"
#include "train/atomic_file.h"
#include "train/batch_tensors.h"
#include "train/binomial_interval.h"
#include "train/error.h"
#include "train/progress_line.h"
#include "train/run_settings.h"
#include "train/signals.h"
#include "train/threads.h"
#include "train/too_long.h"

namespace locus {

namespace {

constexpr std::int64_t tokens_at_once = 8192;

struct Sums {
    std::int64_t targets = 0, correct = 0, solved = 0;
    double loss = 0, floor_loss = 0, floor_accuracy = 0;

    void add(const Sums& other) {
        targets += other.targets;
        correct += other.correct;
        solved += other.solved;
        loss += other.loss;
        floor_loss += other.floor_loss;
        floor_accuracy += other.floor_accuracy;
    }
};

using SumsByClass = std::map<std::int32_t, Sums>;

/// One sequence after the other in a batch, and the examples they came from.
struct ExampleBatch {
    std::vector<ProbeExample> examples;
    TokenBatch tokens;
};

void make_batch(const DataSettings& data, std::int64_t first, std::int64_t size, ExampleBatch& batch) {
    batch.examples.resize(static_cast<std::size_t>(size));
    batch.tokens.clear();
    for (std::int64_t n = 0; n < size; ++n) {
        ProbeExample& example = batch.examples[static_cast<std::size_t>(n)];
        make_probe_example(data.probe, probe_length(data), ProbeSplit::test, first + n, example);
        append_example(example, data.boundary == "cls_sep", batch.tokens);
    }
}

/// What floor and oracle make of one target.
Sums bounds_of(const ProbeSettings& probe, const ProbeExample& example, std::size_t target) {
    const ProbeFloor floor = floor_of(probe_floor(probe, example.ids, example.rows[target]));
    Sums sums;
    sums.targets = 1;
    sums.floor_loss = floor.loss;
    sums.floor_accuracy = floor.accuracy;
    sums.solved = probe_oracle(probe, example.ids, example.rows[target]) == example.targets[target] ? 1 : 0;
    return sums;
}

void add_batch(const MaskedLanguageModel& model, const ProbeSettings& probe, const ExampleBatch& batch,
               BatchTensors& tensors, Arena& arena, SumsByClass& sums) {
    tensors.fill(batch.tokens, 0);
    Tape tape(arena);
    tape.set_recording(false);
    const MaskedLoss result =
        on_host(tape, model.masked_lm_loss(tape, tensors.input(), tensors.targets(), 1.0, RunMode{}));
    std::int64_t row = 0;
    for (const ProbeExample& example : batch.examples) {
        for (std::size_t target = 0; target < example.rows.size(); ++target, ++row) {
            Sums one = bounds_of(probe, example, target);
            one.loss = result.loss.as<double>()[row];
            if (!std::isfinite(one.loss))
                throw NotFiniteError(fmt::format("the loss of a masked token is {} in sequences of {} tokens", one.loss,
                                                 tensors.input().longest));
            one.correct = result.correct.as<std::int32_t>()[row];
            sums[example.classes[target]].add(one);
        }
    }
}

ProbeResult summarise(const std::string& condition, std::int64_t length, const Sums& sums) {
    const auto count = static_cast<double>(sums.targets);
    const BinomialInterval interval = binomial_interval(sums.correct, sums.targets);
    return {.condition = condition,
            .length = length,
            .targets = sums.targets,
            .loss = sums.loss / count,
            .accuracy = static_cast<double>(sums.correct) / count,
            .accuracy_ci_low = interval.low,
            .accuracy_ci_high = interval.high,
            .floor_loss = sums.floor_loss / count,
            .floor_accuracy = sums.floor_accuracy / count,
            .ceiling_accuracy = static_cast<double>(sums.solved) / count};
}

void add_results(const ProbeSettings& probe, std::int64_t length, const SumsByClass& sums,
                 std::vector<ProbeResult>& results) {
    Sums all;
    for (const auto& [number, part] : sums) all.add(part);
    results.push_back(summarise("all", length, all));
    if (sums.size() < 2) return;
    for (const auto& [number, part] : sums) results.push_back(summarise(probe_condition(probe, number), length, part));
}

std::string variant_of(const ProbeSettings& probe) {
    std::string variant;
    for (const auto& [name, value] : probe.options) {
        const auto* text = std::get_if<std::string>(&value);
        if (text != nullptr) variant += (variant.empty() ? "" : "+") + *text;
    }
    return variant;
}

std::vector<std::int64_t> lengths_of(const ProbeEvaluation& asked, const DataSettings& data,
                                     const MaskedLanguageModel& model) {
    for (const std::int64_t length : asked.lengths) {
        if (is_too_long(model, length))
            throw ConfigurationError(explain_too_long(model, fmt::format("--lengths {}", length)));
    }
    if (!asked.lengths.empty()) return asked.lengths;
    std::vector<std::int64_t> lengths;
    for (const std::int64_t times : {1, 2, 4})
        if (!is_too_long(model, times * data.sequence_length)) lengths.push_back(times * data.sequence_length);
    return lengths;
}

/// The data of the run that a model belongs to. Throws ConfigurationError when that was no probe.
DataSettings data_of(const LoadedModel& loaded) {
    const std::optional<Settings> run = settings_of_run(loaded.folder);
    if (run && !run->data.probe.name.empty()) return run->data;
    throw ConfigurationError(
        fmt::format("{}: was not trained on a probe by a configuration with data.probe, so there is nothing to ask it",
                    loaded.folder.string()));
}

/// Checked before the work, not after it: a file that cannot be written would lose the figures.
void check_output(const std::string& csv) {
    if (csv.empty()) return;
    const std::filesystem::path folder = std::filesystem::absolute(csv).parent_path();
    if (!std::filesystem::is_directory(folder))
        throw ConfigurationError(fmt::format("--csv {}: there is no folder {}", csv, folder.string()));
}

void print_results(const DataSettings& data, const std::vector<ProbeResult>& results) {
    fmt::print("probe {}, trained at length {}\n", data.probe.name, data.sequence_length);
    fmt::print(
        "  length  condition          targets      loss  (floor)   accuracy [95% interval]    (floor) (ceiling)\n");
    for (const ProbeResult& result : results)
        fmt::print("{:>8}  {:<16} {:>9} {:>9.4f} {:>8.4f} {:>10.4f} [{:.4f}, {:.4f}] {:>10.4f} {:>9.4f}\n",
                   result.length, result.condition, result.targets, result.loss, result.floor_loss, result.accuracy,
                   result.accuracy_ci_low, result.accuracy_ci_high, result.floor_accuracy, result.ceiling_accuracy);
}

}  // namespace

std::vector<ProbeResult> evaluate_probe(const MaskedLanguageModel& model, const DataSettings& trained,
                                        const std::vector<std::int64_t>& lengths, std::int64_t examples,
                                        const ProbeProgress& progress) {
    std::vector<ProbeResult> results;
    ExampleBatch batch;
    BatchTensors tensors;
    Arena arena(model.device());
    for (const std::int64_t length : lengths) {
        DataSettings data = trained;
        data.sequence_length = length;
        check_probe(data.probe, probe_length(data));
        const std::int64_t count = distinct_examples(data.probe, examples);
        const std::int64_t batch_size = std::max<std::int64_t>(1, tokens_at_once / length);
        SumsByClass sums;
        for (std::int64_t first = 0; first < count; first += batch_size) {
            check_signals();
            make_batch(data, first, std::min(batch_size, count - first), batch);
            add_batch(model, data.probe, batch, tensors, arena, sums);
            if (progress) progress(length, std::min(count, first + batch_size), count);
        }
        add_results(data.probe, length, sums, results);
    }
    return results;
}

std::string probe_csv(const ModelSettings& model, const DataSettings& data, const std::vector<ProbeResult>& results) {
    std::string csv =
        "probe,variant,boundary,encoding,condition,train_length,length,loss,accuracy,targets,accuracy_ci_low,"
        "accuracy_ci_high,floor_loss,floor_accuracy,ceiling_accuracy\n";
    for (const ProbeResult& result : results)
        csv += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n", data.probe.name, variant_of(data.probe),
                           data.boundary, encoding_names(model), result.condition, data.sequence_length, result.length,
                           result.loss, result.accuracy, result.targets, result.accuracy_ci_low,
                           result.accuracy_ci_high, result.floor_loss, result.floor_accuracy, result.ceiling_accuracy);
    return csv;
}

int run_probe_evaluation(const ProbeEvaluation& asked) {
    const SignalGuard guard;
    use_threads(asked.threads);
    check_output(asked.csv);
    const LoadedModel loaded = load_model(asked.model);
    const DataSettings data = data_of(loaded);
    const std::vector<std::int64_t> lengths = lengths_of(asked, data, *loaded.model);
    const std::vector<ProbeResult> results = evaluate_probe(
        *loaded.model, data, lengths, asked.examples, [](std::int64_t length, std::int64_t done, std::int64_t total) {
            ProgressLine::show_activity(fmt::format("length {}", length), done, total);
        });
    ProgressLine::clear();
    print_results(data, results);
    if (!asked.csv.empty()) write_file_atomically(asked.csv, probe_csv(loaded.model->settings(), data, results));
    return exit_done;
}

}  // namespace locus
