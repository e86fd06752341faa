#pragma once
// What a configuration will make, said before anything is made: for info, train --dry-run and bench.

#include <cstdint>
#include <string>

#include "model/masked_language_model.h"
#include "train/settings.h"

namespace locus {

/// The arithmetic that run.precision names.
Arithmetic arithmetic_named(const std::string& precision);
/// How a resolved configuration stores activations: the processor has none in bfloat16.
DType stored_activations(const RunSettings& run);
/// The same for the reader of a log; says what bfloat16 and tf32 come to on this device.
std::string describe_precision(const RunSettings& run);
/// What a resolved configuration runs on, and for a GPU which attention it does: "NVIDIA H200, ...; attention on tensor cores (bfloat16, heads of 64)"; for the
/// processor why it is no GPU, or that there is one.
std::string describe_device(const RunSettings& run, const ModelSettings& model);
/// Who multiplies matrices there: "oneDNN".
std::string describe_multiplier(const RunSettings& run);

/// Size of the vocabulary before any text was read: exact for a finished tokenizer and for bytes, else what was asked for.
struct PlannedVocabulary {
    std::int64_t size = 0;
    bool is_exact = false;
};
PlannedVocabulary planned_vocabulary(const Settings& settings);

/// Several lines: shape, position encodings, longest sequence, parameters by part, what is trained.
std::string describe_model(const MaskedLanguageModel& model);

/// Targets per token: what masking asks for, or what the probe does.
double planned_masked_share(const Settings& settings);

/// Several lines: arithmetic per token and memory of a training step.
std::string describe_cost(const ModelSettings& model, const Settings& settings);

/// "absolute (beyond: error, hier_alpha: 0.4)", joined by " + ".
std::string describe_positions(const ModelSettings& model);

/// "2,097,152".
std::string with_separators(std::int64_t value);

}  // namespace locus
