#pragma once
// A batch of token ids as the tensors that a model reads.

#include <vector>

#include "data/batches.h"
#include "model/model_input.h"

namespace locus {

/// Views and the vectors behind them; `batch` must outlive it. Reused memory: fill() allocates nothing once the largest batch was seen.
class BatchTensors {
public:
    /// `first_sequence`: number of the batch's first sequence in the global batch, for the dropout counters. `first_position`: of each sequence.
    void fill(const TokenBatch& batch, std::int64_t first_sequence, std::int64_t first_position = 0);

    const ModelInput& input() const { return input_; }
    const MaskedTargets& targets() const { return targets_; }

private:
    ModelInput input_;
    MaskedTargets targets_;
    std::vector<std::int32_t> positions_, sequences_;
};

}  // namespace locus
