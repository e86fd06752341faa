#include "train/checkpoint.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "data/fingerprint.h"
#include "train/atomic_file.h"
#include "train/error.h"
#include "train/folder_checksums.h"
#include "train/model_folder.h"
#include "train/safetensors.h"

namespace locus {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

constexpr int format_version = 1;
constexpr const char* state_file = "trainer.json";
constexpr const char* moments_file = "optimizer.safetensors";
constexpr std::string_view folder_prefix = "step-";
constexpr std::string_view temporary_prefix = ".tmp-";

fs::path checkpoints_of(const fs::path& run) { return run / "checkpoints"; }

// Relative to the run folder, as the links have it.
fs::path relative_folder(std::int64_t step) {
    return fs::path("checkpoints") / fmt::format("{}{:08}", folder_prefix, step);
}

fs::path temporary_folder(const fs::path& run, const std::string& purpose) {
    return checkpoints_of(run) / fmt::format("{}{}-{}", temporary_prefix, purpose, getpid());
}

// (step, folder) of every checkpoint, newest first.
std::vector<std::pair<std::int64_t, fs::path>> list_checkpoints(const fs::path& run) {
    std::vector<std::pair<std::int64_t, fs::path>> found;
    if (!fs::is_directory(checkpoints_of(run))) return found;
    for (const fs::directory_entry& entry : fs::directory_iterator(checkpoints_of(run))) {
        const std::string name = entry.path().filename().string();
        if (name.compare(0, folder_prefix.size(), folder_prefix) != 0 || !entry.is_directory()) continue;
        std::int64_t step = 0;
        const char* const end = name.data() + name.size();
        const std::from_chars_result read = std::from_chars(name.data() + folder_prefix.size(), end, step);
        if (read.ec == std::errc{} && read.ptr == end) found.emplace_back(step, entry.path());
    }
    std::sort(found.rbegin(), found.rend());
    return found;
}

// ---- trainer.json -------------------------------------------------------------------------------------------------------------------

// The checksum of trainer.json stands in itself and covers everything else in it.
std::string self_checksum(json document) {
    document.erase("checksum");
    return hexadecimal(fingerprint(document.dump()));
}

std::string state_to_json(const TrainerState& state, const json& files) {
    json document = {
        {"format", format_version},
        {"step", state.step},
        {"tokens", state.tokens},
        {"elapsed_seconds", state.elapsed_seconds},
        {"best_loss", state.best_loss},
        {"best_step", state.best_step},
        {"validated_step", state.validated_step},
        {"validations_without_improvement", state.validations_without_improvement},
        {"configuration", state.configuration},
        {"data_fingerprint", hexadecimal(state.data_fingerprint)},
        {"metrics_bytes", state.metrics_bytes},
        {"files", files},
    };
    document["checksum"] = self_checksum(document);
    return document.dump(2) + "\n";
}

json read_state_file(const fs::path& checkpoint) {
    const fs::path path = checkpoint / state_file;
    std::ifstream file(path, std::ios::binary);
    if (!file)
        throw FileError(
            fmt::format("{}: no {} here, so training cannot be resumed from it; to start from its weights alone, "
                        "set train.init_from",
                        checkpoint.string(), state_file));
    json document;
    try {
        document = json::parse(file);
    } catch (const json::exception& error) {
        throw FileError(fmt::format("{}: damaged: {}", path.string(), error.what()));
    }
    if (!document.is_object() || document.value("checksum", json()) != self_checksum(document))
        throw FileError(path.string() + ": damaged: its checksum differs from the one of writing");
    if (document.value("format", json()) != format_version)
        throw FileError(fmt::format("{}: format {}, this program reads {}", path.string(),
                                    document.value("format", json()).dump(), format_version));
    return document;
}

TrainerState state_from_json(const json& document, const fs::path& checkpoint) {
    try {
        TrainerState state;
        document.at("step").get_to(state.step);
        document.at("tokens").get_to(state.tokens);
        document.at("elapsed_seconds").get_to(state.elapsed_seconds);
        document.at("best_loss").get_to(state.best_loss);
        document.at("best_step").get_to(state.best_step);
        document.at("validated_step").get_to(state.validated_step);
        document.at("validations_without_improvement").get_to(state.validations_without_improvement);
        document.at("configuration").get_to(state.configuration);
        state.data_fingerprint = std::stoull(document.at("data_fingerprint").get<std::string>(), nullptr, 16);
        document.at("metrics_bytes").get_to(state.metrics_bytes);
        return state;
    } catch (const std::exception& error) {
        throw FileError(fmt::format("{}: {}", (checkpoint / state_file).string(), error.what()));
    }
}

// ---- optimizer.safetensors ----------------------------------------------------------------------------------------------------------

// "m.NAME" and "v.NAME" of every parameter, as views into the two vectors.
std::vector<NamedTensor> moment_tensors(const MaskedLanguageModel& model, const Optimizer& optimizer) {
    std::vector<NamedTensor> named;
    for (const auto& [letter, all] : {std::pair("m.", optimizer.m()), std::pair("v.", optimizer.v())}) {
        std::int64_t begin = 0;
        for (const Parameter& parameter : model.parameters().all()) {
            const std::int64_t end = begin + parameter.value.count();
            named.push_back({letter + parameter.name, all.slice(0, begin, end).reshape(parameter.value.shape)});
            begin = end;
        }
    }
    return named;
}

// The state is replaced as a whole, never merged: every tensor must be there, with its type, and no other.
void load_moments(const fs::path& path, const std::vector<NamedTensor>& moments) {
    const SafetensorsFile file(path);
    if (file.tensors().size() != moments.size())
        throw FileError(fmt::format("{}: has {} tensors, this model needs {}", path.string(), file.tensors().size(),
                                    moments.size()));
    for (const NamedTensor& moment : moments) copy_stored(file.at(moment.name), moment.name, moment.tensor);
}

void write_checkpoint(const fs::path& folder, MaskedLanguageModel& model, const Optimizer& optimizer,
                      const Tokenizer& tokenizer, const TrainerState& state) {
    fs::create_directory(folder);
    save_model(folder, model, tokenizer);
    write_safetensors(folder / moments_file, moment_tensors(model, optimizer));
    write_file(folder / state_file, state_to_json(state, folder_checksums(folder)));
    sync_files(folder);
}

void remove_folder(const fs::path& run, const fs::path& folder) {
    // Renamed first: what is removed only in part must not look like a checkpoint.
    const fs::path doomed = temporary_folder(run, "remove-" + folder.filename().string());
    fs::rename(folder, doomed);
    fs::remove_all(doomed);
}

}  // namespace

fs::path checkpoint_folder(const fs::path& run, std::int64_t step) { return run / relative_folder(step); }

fs::path save_checkpoint(const fs::path& run, MaskedLanguageModel& model, const Optimizer& optimizer,
                         const Tokenizer& tokenizer, const TrainerState& state, bool is_best) {
    const fs::path target = relative_folder(state.step);
    const fs::path folder = run / target;
    const fs::path temporary = temporary_folder(run, target.filename().string());
    fs::create_directories(checkpoints_of(run));
    fs::remove_all(temporary);
    try {
        write_checkpoint(temporary, model, optimizer, tokenizer, state);
        replace_folder(temporary, folder);
    } catch (...) {
        std::error_code ignored;
        fs::remove_all(temporary, ignored);
        throw;
    }
    replace_link(target, run / "latest");
    if (is_best) replace_link(target, run / "best");
    return folder;
}

TrainerState read_trainer_state(const fs::path& checkpoint) {
    return state_from_json(read_state_file(checkpoint), checkpoint);
}

void verify_checkpoint(const fs::path& checkpoint, CheckpointPart part) {
    if (!fs::exists(checkpoint / state_file)) return;
    const json files = read_state_file(checkpoint).value("files", json::object());
    if (part == CheckpointPart::moments) {
        if (!files.contains(moments_file)) throw FileError((checkpoint / state_file).string() + ": lists no moments");
        return verify_folder(checkpoint, {{moments_file, files[moments_file]}});
    }
    std::set<std::string> without;
    if (part == CheckpointPart::model) without.insert(moments_file);
    verify_folder(checkpoint, files, without);
}

fs::path newest_valid_checkpoint(const fs::path& run, const std::function<void(const std::string&)>& warn) {
    for (const auto& [step, folder] : list_checkpoints(run)) {
        try {
            read_trainer_state(folder);
            verify_checkpoint(folder, CheckpointPart::everything);
            return folder;
        } catch (const FileError& error) {
            warn(fmt::format("checkpoint of step {} passed over: {}", step, error.what()));
        }
    }
    return {};
}

TrainerState load_checkpoint(const fs::path& checkpoint, MaskedLanguageModel& model, Optimizer& optimizer) {
    const TrainerState state = read_trainer_state(checkpoint);
    verify_checkpoint(checkpoint, CheckpointPart::moments);  // load_weights() looks at the rest
    load_weights(checkpoint, model);
    load_moments(checkpoint / moments_file, moment_tensors(model, optimizer));
    return state;
}

void remove_stale_folders(const fs::path& run) {
    if (!fs::is_directory(checkpoints_of(run))) return;
    std::vector<fs::path> stale;
    for (const fs::directory_entry& entry : fs::directory_iterator(checkpoints_of(run))) {
        const std::string name = entry.path().filename().string();
        const bool temporary = name.compare(0, temporary_prefix.size(), temporary_prefix) == 0;
        if (temporary || name.find(".tmp-old-") != std::string::npos) stale.push_back(entry.path());
    }
    for (const fs::path& path : stale) fs::remove_all(path);
}

bool restore_links(const fs::path& run, const fs::path& checkpoint, const TrainerState& state) {
    replace_link(checkpoint.lexically_relative(run), run / "latest");
    if (state.best_step < 0) return true;
    const fs::path best = relative_folder(state.best_step);
    if (!fs::is_directory(run / best)) return false;
    replace_link(best, run / "best");
    return true;
}

std::int64_t checkpoint_bytes(const MaskedLanguageModel& model) {
    const Parameters& parameters = model.parameters();
    constexpr std::int64_t bytes_per_token = 64;  // vocab.txt and tokenizer.json together
    constexpr std::int64_t small_files = 64 << 10;
    return 3 * parameters.count() * size_of(parameters.dtype()) + model.settings().vocab_size * bytes_per_token +
           static_cast<std::int64_t>(parameters.all().size()) * 1024 + small_files;
}

void prune_checkpoints(const fs::path& run, std::int64_t keep_last) {
    if (keep_last <= 0) return;
    std::set<fs::path> linked;
    for (const char* link : {"latest", "best"}) {
        std::error_code error;
        const fs::path target = fs::read_symlink(run / link, error);
        if (!error) linked.insert(target.filename());
    }
    const auto all = list_checkpoints(run);
    for (std::size_t n = static_cast<std::size_t>(keep_last); n < all.size(); ++n)
        if (linked.count(all[n].second.filename()) == 0) remove_folder(run, all[n].second);
}

}  // namespace locus
