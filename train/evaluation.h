#pragma once
// Masked-LM loss and accuracy of a model on a set of masked batches, without dropout.

#include <cstdint>
#include <functional>

#include "data/batches.h"
#include "model/masked_language_model.h"

namespace locus {

struct EvaluationResult {
    double loss = 0;  // nats per masked token
    double masked_accuracy = 0;
    std::int64_t masked = 0, tokens = 0;
};

/// Called after each batch with batches done and in all; returns false to stop early (a signal).
using EvaluationProgress = std::function<bool(std::int64_t done, std::int64_t total)>;

/// Evaluates the first `samples` validation samples (0: all), `batch_size` at a time: the same result for any batch size up to rounding,
/// the same bits for the same one.
EvaluationResult evaluate(const MaskedLanguageModel& model, const BatchSource& batches, std::int64_t batch_size,
                          std::int64_t samples, Arena& arena, const EvaluationProgress& progress = {});

}  // namespace locus
