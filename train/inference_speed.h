#pragma once
// How long the ways through a model take that go forward only, on the batches of a training step.

#include <span>

#include "data/batches.h"
#include "kernels/memory.h"
#include "model/masked_language_model.h"

namespace locus {

struct InferenceTimes {
    double evaluate = 0;  // seconds: the loss of the masked rows
    double fill = 0;      // seconds: the logits of the masked rows
    double forward = 0;   // seconds: the logits of all rows
};
InferenceTimes time_inference(const MaskedLanguageModel& model, std::span<const TokenBatch> batches, Arena& arena);

}  // namespace locus
