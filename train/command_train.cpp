// locus train: the training loop of trainer.h, or, with --dry-run, all that can be checked and said before it.

#include <filesystem>
#include <optional>

#include <fmt/core.h>
#include <fmt/format.h>

#include "data/corpus.h"
#include "train/commands.h"
#include "train/configuration.h"
#include "train/error.h"
#include "train/plan.h"
#include "train/prepared_data.h"
#include "train/progress_line.h"
#include "train/threads.h"
#include "train/trainer.h"

namespace locus {

namespace {

/// Thrown by the progress report of a dry run: the data are not in the cache yet. Not a std::exception, so that nothing handles it on its way.
struct NotPrepared {};

/// The prepared data when the cache has them; nothing when text would have to be read first.
std::optional<PreparedData> find_prepared(const Settings& settings) {
    try {
        return prepare_data(settings, [](std::string_view, std::int64_t, std::int64_t) { throw NotPrepared(); });
    } catch (const NotPrepared&) {
        return std::nullopt;
    }
}

std::string size_of_files(const std::vector<std::string>& patterns) {
    std::uintmax_t bytes = 0;
    const std::vector<std::filesystem::path> files = expand_patterns(patterns);
    for (const std::filesystem::path& file : files) bytes += std::filesystem::file_size(file);
    return fmt::format("{} file{}, {}B", files.size(), files.size() == 1 ? "" : "s",
                       quantity_text(static_cast<double>(bytes)));
}

std::string describe_text(const DataSettings& data) {
    if (!data.probe.name.empty()) return fmt::format("the probe {}", data.probe.name);
    if (data.synthetic.enabled)
        return fmt::format("synthetic {}, {} MB", data.synthetic.language, data.synthetic.megabytes);
    return fmt::format("{} (validation: {})", size_of_files(data.train), size_of_files(data.valid));
}

std::string describe_samples(const Settings& settings, const std::optional<PreparedData>& prepared) {
    if (!prepared) return "not known yet; the text is tokenised when training starts, and kept in the cache";
    const std::int64_t samples = prepared->train->samples(), validation = prepared->valid->samples();
    if (samples == 0) return fmt::format("made as they are needed, {} for validation", with_separators(validation));
    const double sequences = static_cast<double>(settings.train.steps * settings.train.batch_size) *
                             static_cast<double>(settings.train.gradient_accumulation);
    return fmt::format("{} per epoch ({:.3g} epochs), {} for validation", with_separators(samples),
                       sequences / static_cast<double>(samples), with_separators(validation));
}

int dry_run(const Settings& settings, bool resume) {
    const std::filesystem::path folder = run_folder(settings);
    if (!resume && std::filesystem::exists(folder)) {
        throw ConfigurationError(
            fmt::format("{} exists; --resume goes on with it, run.name names another", folder.string()));
    }
    const std::string text = describe_text(settings.data);
    const std::optional<PreparedData> prepared = find_prepared(settings);
    const PlannedVocabulary planned = planned_vocabulary(settings);
    ModelSettings model_settings = settings.model;
    model_settings.vocab_size = prepared ? prepared->tokenizer->vocab_size() : planned.size;
    const MaskedLanguageModel model(model_settings, arithmetic_named(settings.run.precision));
    const TrainSettings& train = settings.train;
    const double tokens = static_cast<double>(train.steps * train.batch_size) *
                          static_cast<double>(train.gradient_accumulation) *
                          static_cast<double>(settings.data.sequence_length);
    fmt::print("{}{}", describe_model(model), describe_cost(model_settings, settings));
    fmt::print("text               {}\nsamples            {}\n", text, describe_samples(settings, prepared));
    fmt::print("steps              {} of {} x {} sequences of {} tokens, {} tokens in all\n",
               with_separators(train.steps), train.gradient_accumulation, train.batch_size,
               settings.data.sequence_length, quantity_text(tokens));
    fmt::print("run folder         {}\nNothing was trained (--dry-run).\n", folder.string());
    return exit_done;
}

}  // namespace

int run_train(const TrainCommand& command) {
    const Settings settings = read_configuration(command.configuration, command.overrides);
    use_threads(settings.run.threads);
    return command.dry_run ? dry_run(settings, command.resume) : train(settings, command.resume);
}

}  // namespace locus
