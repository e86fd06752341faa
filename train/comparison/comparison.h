#pragma once
// A comparison: several models that differ in what is compared, each with several seeds, in blocks that share everything else.
//
//   compare: {name: quick, directory: runs, seeds: [1, 2, 3], jobs: 0, minimum_steps: 100}
//   base: {...}                       an ordinary training configuration, every key allowed but those that the comparison decides
//   runs:                             what differs, by name
//     absolute: {model: {position: absolute}}
//     rope: {model: {position: rope}}
//   blocks:
//     text:                           a block's base is laid over the common one; runs, seeds, evaluate and minimum_steps of its own replace
//       base: {data: {...}}           the common ones
//       evaluate: {lengths: [64, 128]}
//     order: {base: {data: {probe: order}}}
//
//       runs: text                      the runs of an earlier block, by its name
//     longer:                           a run can start from the weights that the same seed of a run of an earlier block ended with
//       runs: {rope: {init_from: text/rope}}
//
// Without `blocks` the file is one block, called "all". Sections are merged key by key; lists, model.position and data.probe are replaced whole.
// Within a block all runs share data, batches, masks, steps and seeds, and where they have the same tensors, the first weights: a run may
// only differ in `model`, `train.optimizer` and `train.schedule`.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "train/settings.h"

namespace locus {

/// How trained models are evaluated: the options of `locus evaluate`. On a probe only lengths and samples mean anything.
struct EvaluationSettings {
    std::vector<std::int64_t> lengths;  // none: text is only validated; a probe is asked at 1, 2 and 4 times its length
    std::vector<std::string> text;      // none: the validation text
    std::vector<std::string> schemes, beyond;
    std::string boundary;
    std::int64_t samples = 0;
    double mask_probability = 0.15;
    std::uint32_t seed = 0;
    std::int64_t window = 0, shift = 0;
    bool logn = false;
};

/// One of the models of a block, before seeds are given to it.
struct ComparedModel {
    std::string name;
    Settings settings;
    std::string
        init_from;  // "block/run" of an earlier block; empty: fresh weights, or what settings.train.init_from says
};

struct ComparisonBlock {
    std::string name;
    std::vector<std::int64_t> seeds;
    std::int64_t minimum_steps = 0;  // below that a budget leaves models out; at most the configured steps
    EvaluationSettings evaluate;
    std::vector<ComparedModel> models;

    /// Training settings that all models share, as data and steps are.
    const Settings& shared() const { return models.front().settings; }
    bool is_probe() const { return !shared().data.probe.name.empty(); }
    std::int64_t tokens_per_step() const;
};

struct Comparison {
    std::string name, directory = "runs";
    std::int64_t jobs = 0;  // runs side by side; 0: one per core
    std::vector<ComparisonBlock> blocks;

    std::filesystem::path folder() const { return std::filesystem::path(directory) / name; }
};

/// Reads `file` with overrides ("compare.seeds=[1]"). Throws ConfigurationError with a line per mistake.
Comparison read_comparison(const std::filesystem::path& file, const std::vector<std::string>& overrides = {});
/// The same from text; `name` stands for the file in messages, and its stem for compare.name.
Comparison parse_comparison(const std::string& yaml, const std::string& name,
                            const std::vector<std::string>& overrides = {});

}  // namespace locus
