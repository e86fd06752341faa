#pragma once
// A whole configuration, as plain data: what configuration.h reads from YAML and the resolved config.yaml writes out.

#include <cstdint>
#include <string>

#include "data/settings.h"
#include "kernels/tensor.h"
#include "model/settings.h"

namespace locus {

struct RunSettings {
    std::string name;                // empty: the configuration file's stem
    std::string directory = "runs";  // the run folder is directory/name
    std::uint32_t seed = 1;
    std::string device = "auto";        // auto | cpu | cuda | simt: the kernels for a GPU, run on the processor
    std::string precision = "float32";  // float32 | float64 (tests) | bfloat16 | tf32 (on a GPU)
    std::int64_t threads = 0;           // 0: all cores that the process may use
};

/// Where a resolved configuration computes.
inline Device device_of(const RunSettings& run) {
    return run.device == "cuda" ? Device::cuda : run.device == "simt" ? Device::simt : Device::cpu;
}

struct OptimizerSettings {
    std::string type = "adamw";
    double learning_rate = 1e-3;
    double beta1 = 0.9, beta2 = 0.98;  // YAML: betas: [0.9, 0.98]
    double epsilon = 1e-6;
    double weight_decay = 0.01;
    double clip = 1.0;  // largest gradient norm; 0: no clipping
};

struct ScheduleSettings {
    std::string type = "linear";  // constant | linear | cosine | inverse_sqrt | warmup_stable_decay
    std::int64_t warmup = -1;     // steps; -1: min(200, steps / 10)
    std::int64_t decay = -1;      // steps of the last phase of warmup_stable_decay; -1: steps / 5
    double final_fraction = 0.0;  // of the learning rate, at the end of linear, cosine, warmup_stable_decay
};

struct TrainSettings {
    std::string init_from;  // MODEL: weights only, fresh optimizer
    std::int64_t steps = 2000;
    double max_minutes = 0;        // 0: no limit
    std::int64_t batch_size = 32;  // sequences per micro-batch
    std::int64_t gradient_accumulation = 1;
    OptimizerSettings optimizer;
    ScheduleSettings schedule;
    std::int64_t log_every = 10;
    std::int64_t evaluate_every = 200;    // 0: at the start and the end only
    std::int64_t evaluate_samples = 0;    // validation samples; 0: all
    std::int64_t checkpoint_every = 500;  // 0: at the end only
    std::int64_t keep_last = 2;           // checkpoints kept besides best and latest; 0: all
    std::int64_t early_stop = 0;          // stop after so many validations without improvement; 0: never
};

struct Settings {
    RunSettings run;
    DataSettings data;
    ModelSettings model;
    TrainSettings train;
};

}  // namespace locus
