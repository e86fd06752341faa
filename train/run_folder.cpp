#include "train/run_folder.h"

#include <fmt/format.h>
#include <sys/statvfs.h>
#include <yaml-cpp/yaml.h>

#include <cerrno>
#include <map>
#include <set>
#include <system_error>

#include "data/fingerprint.h"
#include "train/configuration.h"
#include "train/error.h"

namespace locus {
namespace fs = std::filesystem;
namespace {

void flatten(const YAML::Node& node, const std::string& path, std::map<std::string, std::string>& leaves) {
    if (!node.IsMap()) {
        YAML::Emitter text;
        text << YAML::Flow << node;
        leaves[path] = text.c_str();
        return;
    }
    for (const auto& entry : node) {
        const std::string key = entry.first.as<std::string>();
        flatten(entry.second, path.empty() ? key : path + "." + key, leaves);
    }
}

std::map<std::string, std::string> leaves_of(const std::string& yaml) {
    std::map<std::string, std::string> leaves;
    try {
        flatten(YAML::Load(yaml), "", leaves);
    } catch (const YAML::Exception& error) {
        throw FileError(fmt::format("the checkpoint's configuration cannot be read: {}", error.what()));
    }
    return leaves;
}

// Whether the rates up to the checkpoint are the same for both numbers of steps.
bool may_end_elsewhere(const ScheduleSettings& schedule, std::int64_t checkpoint, std::int64_t then, std::int64_t now) {
    if (schedule.type == "warmup_stable_decay") return checkpoint <= std::min(then, now) - schedule.decay;
    return schedule.type == "constant" || schedule.type == "inverse_sqrt";
}

std::string describe(const ConfigurationDifference& difference, const Settings& settings) {
    const auto& [key, then, now] = difference;
    std::string text = fmt::format("\n  {}: {} in the checkpoint, {} now", key, then, now);
    if (key == "train.steps")
        text += fmt::format(
            " (the {} schedule was laid out for {} steps; only constant, inverse_sqrt and, before its last "
            "phase, warmup_stable_decay can end elsewhere)",
            settings.train.schedule.type, then);
    return text;
}

}  // namespace

std::string fixed_configuration(const Settings& settings) {
    const Settings initial;
    Settings fixed = settings;
    fixed.run = initial.run;
    fixed.run.seed = settings.run.seed;
    fixed.run.precision = settings.run.precision;
    fixed.data.train.clear();
    fixed.data.valid.clear();
    fixed.data.tokenizer.path.clear();
    fixed.train.init_from.clear();
    fixed.train.max_minutes = initial.train.max_minutes;
    fixed.train.log_every = initial.train.log_every;
    fixed.train.evaluate_every = initial.train.evaluate_every;
    fixed.train.checkpoint_every = initial.train.checkpoint_every;
    fixed.train.keep_last = initial.train.keep_last;
    fixed.train.early_stop = initial.train.early_stop;
    return write_configuration(fixed);
}

std::vector<ConfigurationDifference> configuration_differences(const std::string& then, const std::string& now) {
    const std::map<std::string, std::string> old_leaves = leaves_of(then), new_leaves = leaves_of(now);
    std::set<std::string> keys;
    for (const auto& [key, value] : old_leaves) keys.insert(key);
    for (const auto& [key, value] : new_leaves) keys.insert(key);
    const auto value_in = [](const std::map<std::string, std::string>& leaves, const std::string& key) {
        const auto found = leaves.find(key);
        return found == leaves.end() ? std::string("not set") : found->second;
    };
    std::vector<ConfigurationDifference> differences;
    for (const std::string& key : keys) {
        if (value_in(old_leaves, key) != value_in(new_leaves, key))
            differences.push_back({key, value_in(old_leaves, key), value_in(new_leaves, key)});
    }
    return differences;
}

void check_same_configuration(const Settings& settings, const TrainerState& checkpoint) {
    std::string differences;
    for (const ConfigurationDifference& difference :
         configuration_differences(checkpoint.configuration, fixed_configuration(settings))) {
        if (difference.key == "train.steps" && may_end_elsewhere(settings.train.schedule, checkpoint.step,
                                                                 std::stoll(difference.then), settings.train.steps))
            continue;
        if (difference.key == "model.recompute") continue;  // changes no number; older checkpoints do not have it
        differences += describe(difference, settings);
    }
    if (differences.empty()) return;
    throw ConfigurationError(
        "--resume: the configuration is not that of the checkpoint:" + differences +
        "\nrestore these, or start a new run (another run.name; train.init_from takes the weights along)");
}

void check_same_data(std::uint64_t fingerprint, const TrainerState& checkpoint) {
    if (fingerprint == checkpoint.data_fingerprint) return;
    throw FileError(
        fmt::format("--resume: the text or the tokenizer is not that of the checkpoint (fingerprint {} then, {} now); "
                    "restore the files, or start a new run (another run.name; train.init_from takes the weights along)",
                    hexadecimal(checkpoint.data_fingerprint), hexadecimal(fingerprint)));
}

std::string stop_reason(const TrainSettings& settings, const TrainerState& state) {
    if (state.step >= settings.steps) return fmt::format("steps reached ({})", settings.steps);
    if (settings.early_stop > 0 && state.validations_without_improvement >= settings.early_stop)
        return fmt::format("early stop: no improvement in {} evaluations; best step {}, loss {:.4g}",
                           state.validations_without_improvement, state.best_step, state.best_loss);
    if (settings.max_minutes > 0 && state.elapsed_seconds >= 60 * settings.max_minutes)
        return fmt::format("time limit reached ({} minutes)", settings.max_minutes);
    return {};
}

void check_free_space(const fs::path& run, std::int64_t bytes_per_checkpoint, std::int64_t checkpoints) {
    fs::path existing = fs::absolute(run);
    while (!fs::exists(existing)) existing = existing.parent_path();
    struct statvfs status = {};
    if (statvfs(existing.c_str(), &status) != 0) return;  // unknown is not too small
    const auto free = static_cast<std::int64_t>(status.f_bavail * status.f_frsize);
    const std::int64_t needed = bytes_per_checkpoint * checkpoints;
    if (free >= needed) return;
    throw std::system_error(
        ENOSPC, std::generic_category(),
        fmt::format("{}: {} checkpoint(s) need about {} bytes, {} are free; make room, or choose another "
                    "run.directory",
                    run.string(), checkpoints, needed, free));
}

}  // namespace locus
