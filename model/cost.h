#pragma once
// What a model costs, known before it runs.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/masked_language_model.h"

namespace locus {

/// Parameters by part, in the order of the model: ("word embeddings", 2097152), ...
std::vector<std::pair<std::string, std::int64_t>> parameters_by_part(const MaskedLanguageModel& model);

/// Multiply-adds count as 2. Matrix products and attention only: more than 99 % of the arithmetic.
///   forward(token) = layers (8 H^2 + 4 H F + 4 S H [+ 4 S H per relative table]) + masked share (2 H^2 + 2 H V)
/// With the enhanced mask decoder the last layer's keys and values are for all tokens, all else of it is for the masked ones, times the passes.
/// A training step is three times the forward.
double forward_flops(const ModelSettings& settings, std::int64_t tokens, std::int64_t sequence_length,
                     std::int64_t masked);

/// Bytes of a training step: parameters, gradients, moments; and activations (an estimate within a fifth). Linear in the length on every device: no attention
/// keeps a score. `stored` is how activations are stored from the first block on (Tape::activation_dtype()); logits are never bfloat16.
struct MemoryEstimate {
    std::int64_t parameters_and_optimizer = 0;
    std::int64_t activations = 0;
};
MemoryEstimate training_memory(const ModelSettings& settings, std::int64_t batch_size, std::int64_t sequence_length,
                               double masked_share, DType stored = DType::float32);

}  // namespace locus
