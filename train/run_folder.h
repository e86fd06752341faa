#pragma once
// The folder of a run, and what resuming may not change.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "train/checkpoint.h"
#include "train/settings.h"

namespace locus {

/// The part of the configuration that decides what is computed, as YAML. Where files lie, how many threads there are, and how often is logged,
/// evaluated and saved are not in it; the text itself is known by its fingerprint.
std::string fixed_configuration(const Settings& settings);

/// A key that two configurations do not agree on; "not set" where one lacks it.
struct ConfigurationDifference {
    std::string key, then, now;
};
/// Of two configurations as YAML. Throws FileError when one cannot be read.
std::vector<ConfigurationDifference> configuration_differences(const std::string& then, const std::string& now);

/// Throws ConfigurationError listing each difference between the checkpoint's configuration and this one. train.steps may differ where the
/// schedule does not depend on it (constant, inverse_sqrt).
void check_same_configuration(const Settings& settings, const TrainerState& checkpoint);

/// Throws FileError when text or tokenizer are not those of the checkpoint.
void check_same_data(std::uint64_t fingerprint, const TrainerState& checkpoint);

/// Why training is over at `state`: "steps reached (2000)", "early stop: ...", "time limit reached (30 minutes)"; empty: it is not.
std::string stop_reason(const TrainSettings& settings, const TrainerState& state);

/// Throws std::system_error (ENOSPC, with needed and free bytes) when the file system of `run` clearly cannot hold the checkpoints.
void check_free_space(const std::filesystem::path& run, std::int64_t bytes_per_checkpoint, std::int64_t checkpoints);

}  // namespace locus
