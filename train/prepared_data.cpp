#include "train/prepared_data.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "data/atomic_folder.h"
#include "data/corpus.h"
#include "data/error.h"
#include "data/fingerprint.h"
#include "data/probes/probe_batches.h"
#include "data/synthetic.h"
#include "data/tokenizer_training.h"
#include "train/atomic_file.h"
#include "train/log.h"
#include "train/model_folder.h"

namespace locus {
namespace fs = std::filesystem;
namespace {

constexpr const char* report_file = "report.txt";  // beside a cached tokenizer, written last; later runs tell it again

using Paths = std::vector<fs::path>;

struct TextFiles {
    Paths train, valid;
};

TextFiles find_text(const DataSettings& settings, const ProgressReport& progress) {
    if (settings.synthetic.enabled) {
        const SyntheticFiles files = write_synthetic_corpus(settings.synthetic, cache_folder() / "synthetic", progress);
        return {{files.train}, {files.valid}};
    }
    if (settings.valid.empty()) throw DataError("data.valid names no file; training needs text to validate on");
    return {expand_patterns(settings.train), expand_patterns(settings.valid)};
}

// ---- the tokenizer ------------------------------------------------------------------------------------------------------------------

std::uint64_t training_key(const TokenizerSettings& settings, std::uint64_t text) {
    Fingerprint key;
    key.add_text("locus tokenizer 1");
    key.add_number(text);
    key.add_text(settings.type);
    key.add_number(static_cast<std::uint64_t>(settings.vocab_size));
    for (const bool flag : {settings.lowercase, settings.strip_accents, settings.split_chinese})
        key.add_number(flag ? 1 : 0);
    key.add_text(fmt::format("{}", settings.character_coverage));
    return key.value();
}

std::string report_text(const TrainedTokenizer& trained) {
    const VocabularyReport& report = trained.report;
    if (report.words == 0) return fmt::format("tokenizer: {} tokens", trained.tokenizer->vocab_size());  // bytes
    std::string text = fmt::format(
        "tokenizer: {} tokens from {} words ({} distinct); alphabet of {} of the text's {} characters, {:.4f}% of them "
        "covered; "
        "{:.4f}% unknown tokens",
        trained.tokenizer->vocab_size(), report.words, report.distinct_words, report.alphabet,
        report.characters_in_text, 100 * report.character_coverage, 100 * report.unknown_rate);
    if (!report.commonest_unknown.empty()) text += "; commonest unknown:";
    for (const auto& [character, count] : report.commonest_unknown) text += fmt::format(" {} ({})", character, count);
    return text;
}

std::unique_ptr<Tokenizer> find_cached(const fs::path& folder) {
    if (!fs::exists(folder / report_file)) return nullptr;
    try {
        std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(folder);
        std::string report;
        std::getline(std::ifstream(folder / report_file), report);
        if (!report.empty()) log_line(report);
        return tokenizer;
    } catch (const DataError& error) {
        log_warning(fmt::format("cached tokenizer is unusable and is made anew: {}", error.what()));
        return nullptr;
    }
}

void store_in_cache(const fs::path& folder, const Tokenizer& tokenizer, const std::string& report) {
    fs::remove_all(folder);  // there only if it is damaged
    AtomicFolder cached(folder, report_file);
    tokenizer.save(cached.folder());
    write_file(cached.folder() / report_file, report + "\n");
    sync_files(cached.folder());
    cached.publish();
}

std::unique_ptr<Tokenizer> train_or_find(const DataSettings& settings, const Paths& text,
                                         const ProgressReport& progress) {
    const std::uint64_t key = training_key(settings.tokenizer, fingerprint_of_files(text, settings));
    const fs::path folder = cache_folder() / "tokenizers" / hexadecimal(key);
    if (std::unique_ptr<Tokenizer> cached = find_cached(folder)) return cached;
    TrainedTokenizer trained = train_tokenizer(settings.tokenizer, text, settings, progress);
    const std::string report = report_text(trained);
    log_line(report);
    store_in_cache(folder, *trained.tokenizer, report);
    return std::move(trained.tokenizer);
}

std::unique_ptr<Tokenizer> make_tokenizer(const Settings& settings, const Paths& text, const ProgressReport& progress) {
    std::string path = settings.data.tokenizer.path;
    if (path.empty() && !settings.train.init_from.empty())
        path = resolve_model_folder(settings.train.init_from).string();
    if (path.empty()) return train_or_find(settings.data, text, progress);
    std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(path);
    log_line(fmt::format("tokenizer: {} tokens, from {}", tokenizer->vocab_size(), path));
    return tokenizer;
}

// ---- text and probes ----------------------------------------------------------------------------------------------------------------

PreparedData prepare_text(const Settings& settings, const ProgressReport& progress) {
    const DataSettings& data = settings.data;
    const TextFiles text = find_text(data, progress);
    PreparedData prepared;
    prepared.tokenizer = make_tokenizer(settings, text.train, progress);
    const Tokenizer& tokenizer = *prepared.tokenizer;

    const fs::path train = prepare_shards(text.train, data, tokenizer, cache_folder(), progress);
    const fs::path valid = prepare_shards(text.valid, data, tokenizer, cache_folder(), progress);
    prepared.train_shards = std::make_unique<TokenShards>(train, tokenizer.vocab_size());
    prepared.valid_shards = std::make_unique<TokenShards>(valid, tokenizer.vocab_size());
    prepared.train_samples = std::make_unique<Samples>(*prepared.train_shards, data, tokenizer.special());
    prepared.valid_samples = std::make_unique<Samples>(*prepared.valid_shards, data, tokenizer.special());
    prepared.masking = std::make_unique<Masking>(data.masking, tokenizer);
    prepared.train = std::make_unique<Batches>(*prepared.train_samples, *prepared.masking, settings.run.seed);
    prepared.valid = std::make_unique<Batches>(*prepared.valid_samples, *prepared.masking, settings.run.seed);

    // The shards' folders are named after text and tokenizer, so nothing has to be read again for this.
    Fingerprint fingerprint;
    fingerprint.add_text(train.filename().string());
    fingerprint.add_text(valid.filename().string());
    prepared.fingerprint = fingerprint.value();

    if (prepared.train_samples->count() < settings.train.batch_size)
        throw DataError(fmt::format(
            "the training text gives {} samples of {} tokens, fewer than one batch of {}: give it more text, "
            "or lower train.batch_size or data.sequence_length",
            prepared.train_samples->count(), data.sequence_length, settings.train.batch_size));
    return prepared;
}

std::uint64_t fingerprint_of_probe(const ProbeSettings& probe, const Tokenizer& tokenizer) {
    constexpr std::uint64_t version = 1;  // raise it when the same settings give other examples
    Fingerprint fingerprint;
    fingerprint.add_text("locus probe");
    fingerprint.add_number(version);
    fingerprint.add_text(probe.name);
    fingerprint.add_number(probe.seed);
    fingerprint.add_number(tokenizer.fingerprint());
    return fingerprint.value();  // the options are part of the configuration, which resuming compares anyway
}

/// A model that goes on with a probe must know its words.
void check_initial_vocabulary(const Settings& settings, const Tokenizer& tokenizer) {
    const std::string& model = settings.train.init_from;
    if (model.empty()) return;
    const std::unique_ptr<Tokenizer> theirs = load_tokenizer(resolve_model_folder(model));
    if (theirs->fingerprint() == tokenizer.fingerprint()) return;
    throw DataError(fmt::format("train.init_from {}: its vocabulary is not that of the probe {} with these options",
                                model, settings.data.probe.name));
}

PreparedData prepare_probe(const Settings& settings) {
    constexpr std::int64_t validation_samples = 1024;
    PreparedData prepared;
    prepared.tokenizer = probe_tokenizer(settings.data.probe);
    check_initial_vocabulary(settings, *prepared.tokenizer);
    prepared.train = std::make_unique<ProbeBatches>(settings.data, 0);
    prepared.valid = std::make_unique<ProbeBatches>(settings.data, validation_samples);
    prepared.fingerprint = fingerprint_of_probe(settings.data.probe, *prepared.tokenizer);
    return prepared;
}

}  // namespace

PreparedData prepare_data(const Settings& settings, const ProgressReport& progress) {
    return settings.data.probe.name.empty() ? prepare_text(settings, progress) : prepare_probe(settings);
}

}  // namespace locus
