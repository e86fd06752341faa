#include "train/run_settings.h"

#include <fmt/format.h>

#include "train/configuration.h"
#include "train/error.h"
#include "train/log.h"

namespace locus {

std::optional<Settings> settings_of_run(const std::filesystem::path& checkpoint) {
    const std::filesystem::path run = std::filesystem::canonical(checkpoint).parent_path().parent_path();
    const std::filesystem::path file = run / "config.yaml";
    if (!std::filesystem::is_regular_file(file)) return std::nullopt;
    try {
        return read_configuration(file);
    } catch (const ConfigurationError& error) {
        log_warning(fmt::format("the run's configuration is not used: {}", error.what()));
        return std::nullopt;
    }
}

const Tokenizer& tokenizer_of(const LoadedModel& loaded) {
    if (loaded.tokenizer != nullptr) return *loaded.tokenizer;
    throw FileError(
        fmt::format("{}: the model has no tokenizer (tokenizer.json, or vocab.txt with tokenizer_config.json)",
                    loaded.folder.string()));
}

}  // namespace locus
