// locus evaluate: masked-LM loss and accuracy of a model on text, at one or several sequence lengths.

#include <algorithm>
#include <filesystem>
#include <optional>

#include <fmt/core.h>
#include <fmt/format.h>

#include "data/corpus.h"
#include "data/samples.h"
#include "data/token_shards.h"
#include "train/atomic_file.h"
#include "train/commands.h"
#include "train/error.h"
#include "train/length_evaluation.h"
#include "train/progress_line.h"
#include "train/run_settings.h"
#include "train/signals.h"
#include "train/threads.h"
#include "train/too_long.h"

namespace locus {

namespace {

constexpr std::int64_t tokens_at_once = 8192;

/// How the text is to be read: as in training where that is known.
DataSettings data_settings(const EvaluateCommand& command, const std::optional<Settings>& run) {
    DataSettings data = run ? run->data : DataSettings();
    data.synthetic = SyntheticSettings();
    data.train = command.text;
    data.valid.clear();
    return data;
}

std::vector<std::int64_t> lengths_of(const EvaluateCommand& command, const std::optional<Settings>& run,
                                     const MaskedLanguageModel& model) {
    const std::int64_t longest = model.longest_sequence();
    for (const std::int64_t length : command.lengths) {
        if (is_too_long(model, length))
            throw ConfigurationError(explain_too_long(model, fmt::format("--lengths {}", length)));
    }
    if (!command.lengths.empty()) return command.lengths;
    const std::int64_t usual = run ? run->data.sequence_length : DataSettings().sequence_length;
    return {longest > 0 ? std::min(usual, longest) : usual};
}

/// Checked before the work, not after it: a file that cannot be written would lose the figures.
void check_output(const std::string& csv) {
    if (csv.empty()) return;
    const std::filesystem::path folder = std::filesystem::absolute(csv).parent_path();
    if (!std::filesystem::is_directory(folder)) {
        throw ConfigurationError(fmt::format("--csv {}: there is no folder {}", csv, folder.string()));
    }
}

void print_result(const LengthResult& result) {
    fmt::print("{:>8} {:>10} {:>12} {:>9.4f} [{:.4f}, {:.4f}] {:>9.4f}\n", result.length, result.sequences,
               result.masked, result.loss, result.loss_ci_low, result.loss_ci_high, result.masked_accuracy);
}

}  // namespace

int run_evaluate(const EvaluateCommand& command) {
    const SignalGuard guard;
    use_threads(command.threads);
    check_output(command.csv);
    const LoadedModel loaded = load_model(command.model);
    const Tokenizer& tokenizer = tokenizer_of(loaded);
    const std::optional<Settings> run = settings_of_run(loaded.folder);
    const std::vector<std::int64_t> lengths = lengths_of(command, run, *loaded.model);
    DataSettings data = data_settings(command, run);
    const auto show = [](std::string_view what, std::int64_t done, std::int64_t total) {
        check_signals();
        ProgressLine::show_activity(std::string(what), done, total);
    };
    const std::filesystem::path prepared =
        prepare_shards(expand_patterns(command.text), data, tokenizer, cache_folder(), show);
    const TokenShards shards(prepared, tokenizer.vocab_size());
    const Masking masking(data.masking, tokenizer);
    fmt::print("  length  sequences       masked      loss [95% interval]     accuracy\n");
    std::vector<LengthResult> results;
    for (const std::int64_t length : lengths) {
        data.sequence_length = length;
        const Samples samples(shards, data, tokenizer.special());
        const Batches batches(samples, masking, 0);
        const std::int64_t batch_size = std::max<std::int64_t>(1, tokens_at_once / length);
        const std::vector<SequenceLoss> losses = sequence_losses(
            *loaded.model, batches, batch_size, command.samples, [&](std::int64_t done, std::int64_t total) {
                ProgressLine::show_activity(fmt::format("length {}", length), done, total);
            });
        ProgressLine::clear();
        results.push_back(summarise_length(length, losses, command.seed));
        print_result(results.back());
    }
    if (!command.csv.empty()) {
        write_file_atomically(command.csv,
                              length_csv(loaded.model->settings(), run ? run->data.sequence_length : 0, results));
    }
    return exit_done;
}

}  // namespace locus
