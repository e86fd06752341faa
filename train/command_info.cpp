// locus info: what a configuration will make, or what a model is.

#include <algorithm>
#include <filesystem>

#include <fmt/core.h>

#include "train/commands.h"
#include "train/configuration.h"
#include "train/error.h"
#include "train/model_folder.h"
#include "train/plan.h"
#include "train/run_settings.h"

namespace locus {

namespace {

int info_of_configuration(const InfoCommand& command) {
    const Settings settings = read_configuration(command.subject, command.overrides);
    const PlannedVocabulary vocabulary = planned_vocabulary(settings);
    ModelSettings model_settings = settings.model;
    model_settings.vocab_size = vocabulary.size;
    const MaskedLanguageModel model(model_settings, arithmetic_named(settings.run.precision));
    fmt::print("configuration      {}\n{}{}", command.subject, describe_model(model),
               describe_cost(model_settings, settings));
    if (!vocabulary.is_exact) {
        fmt::print("The vocabulary has {} entries at most; a small text may give fewer.\n",
                   with_separators(vocabulary.size));
    }
    return exit_done;
}

int info_of_model(const InfoCommand& command) {
    if (!command.overrides.empty()) throw ConfigurationError("--set changes a configuration; a model is what it is");
    const LoadedModel loaded = load_model(command.subject);
    const MaskedLanguageModel& model = *loaded.model;
    Settings settings = settings_of_run(loaded.folder).value_or(Settings());
    const std::int64_t longest = model.longest_sequence();
    if (longest > 0) settings.data.sequence_length = std::min(settings.data.sequence_length, longest);
    fmt::print("folder             {}\n{}{}", loaded.folder.string(), describe_model(model),
               describe_cost(model.settings(), settings));
    fmt::print("tokenizer          {}\n",
               loaded.tokenizer == nullptr ? "none" : with_separators(loaded.tokenizer->vocab_size()) + " tokens");
    for (const std::string& name : loaded.ignored)
        fmt::print("not used           {} (a masked LM has no such part)\n", name);
    return exit_done;
}

}  // namespace

int run_info(const InfoCommand& command) {
    const std::filesystem::path subject = command.subject;
    const bool looks_like_yaml = subject.extension() == ".yaml" || subject.extension() == ".yml";
    const bool is_configuration =
        std::filesystem::is_regular_file(subject) || (looks_like_yaml && !std::filesystem::exists(subject));
    return is_configuration ? info_of_configuration(command) : info_of_model(command);
}

}  // namespace locus
