#pragma once
// Batches of a probe's examples, made when they are asked for.

#include "data/batches.h"
#include "data/probes/probe.h"

namespace locus {

class ProbeBatches : public BatchSource {
public:
    /// `samples`: how many validation samples there are, 0 in training, whose stream never ends. Throws DataError as check_probe().
    ProbeBatches(const DataSettings& settings, std::int64_t samples);

    /// Sequence n is example n of the split.
    void training(std::int64_t first, std::int64_t size, TokenBatch& batch) const override;
    void validation(std::int64_t first, std::int64_t size, TokenBatch& batch) const override;
    std::int64_t samples() const override { return samples_; }

private:
    void fill(ProbeSplit split, std::int64_t first, std::int64_t end, TokenBatch& batch) const;

    ProbeSettings probe_;
    std::int64_t length_;  // without [CLS] and [SEP]
    bool cls_sep_;
    std::int64_t samples_;
};

/// Tokens of a sequence that the probe itself fills.
std::int64_t probe_length(const DataSettings& settings);

/// Appends an example to a batch, between [CLS] and [SEP] when asked for.
void append_example(const ProbeExample& example, bool cls_sep, TokenBatch& batch);

/// Targets per token of a training batch: the mean of a few examples.
double probe_masked_share(const DataSettings& settings);

}  // namespace locus
