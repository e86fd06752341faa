#pragma once
// Masked-LM loss and accuracy at a given sequence length, with a confidence interval, and the CSV that holds them.
//
// The text is cut into sequences of that length without overlap; masks are those of validation (fixed for ever). The interval is the
// percentile bootstrap over sequences: they are drawn again with replacement, a thousand times, and the loss is the ratio of the sums.
// paper   Efron 1979, "Bootstrap methods: another look at the jackknife"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/batches.h"
#include "model/masked_language_model.h"

namespace locus {

/// What one sequence adds to the sums.
struct SequenceLoss {
    double loss = 0;  // nats, over its masked tokens
    std::int64_t masked = 0, correct = 0;
};

/// Each of the first `samples` samples (0: all) by itself.
std::vector<SequenceLoss> sequence_losses(
    const MaskedLanguageModel& model, const Batches& batches, std::int64_t batch_size, std::int64_t samples,
    const std::function<void(std::int64_t done, std::int64_t total)>& progress = {});

struct LengthResult {
    std::int64_t length = 0, sequences = 0, masked = 0;
    double loss = 0;                           // nats per masked token
    double masked_accuracy = 0;                // share of the masked tokens
    double loss_ci_low = 0, loss_ci_high = 0;  // 95 %
};

/// `seed` draws the bootstrap. Throws DataError when nothing is masked.
LengthResult summarise_length(std::int64_t length, const std::vector<SequenceLoss>& losses, std::uint32_t seed);

/// length_extrapolation.csv. `train_length` 0: not known, an empty cell.
std::string length_csv(const ModelSettings& model, std::int64_t train_length, const std::vector<LengthResult>& results);

}  // namespace locus
