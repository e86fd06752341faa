#pragma once
// Masked batches, as a pure function of their number.

#include <cstdint>
#include <span>
#include <vector>

#include "data/masking.h"
#include "data/samples.h"

namespace locus {

/// A ragged batch: sequences one after the other, no padding.
struct TokenBatch {
    std::vector<std::int32_t> ids;          // [rows], corrupted
    std::vector<std::int32_t> offsets;      // [sequences + 1]
    std::vector<std::int32_t> masked_rows;  // [masked], into ids, strictly increasing
    std::vector<std::int32_t> targets;      // [masked]

    /// Empties it and keeps the memory.
    void clear();
    std::int64_t rows() const { return static_cast<std::int64_t>(ids.size()); }
    std::int64_t sequences() const { return static_cast<std::int64_t>(offsets.size()) - 1; }
    std::int64_t masked() const { return static_cast<std::int64_t>(targets.size()); }
};

/// Where batches come from: text (below), or a probe (data/probes/probe_batches.h). May be asked from several threads at once, each with a
/// batch of its own.
class BatchSource {
public:
    virtual ~BatchSource() = default;

    /// Training: sequences first .. first + size - 1 of an endless stream.
    virtual void training(std::int64_t first, std::int64_t size, TokenBatch& batch) const = 0;
    /// Validation: samples first .. first + size - 1 in order, the same for ever; fewer at the end.
    virtual void validation(std::int64_t first, std::int64_t size, TokenBatch& batch) const = 0;
    /// How many samples there are; 0: they never end.
    virtual std::int64_t samples() const = 0;
};

/// Of text. Nothing is allocated once a batch has been filled before.
class Batches : public BatchSource {
public:
    /// `samples` and `masking` must outlive this.
    Batches(const Samples& samples, const Masking& masking, std::uint32_t seed);

    /// The stream is that of shuffled epochs: sequence n is place n % count of epoch n / count.
    void training(std::int64_t first, std::int64_t size, TokenBatch& batch) const override;
    /// With fixed masks (seed 0, validation_epoch).
    void validation(std::int64_t first, std::int64_t size, TokenBatch& batch) const override;

    std::int64_t samples() const override { return samples_.count(); }

private:
    void append(std::int64_t sample, std::uint32_t seed, std::uint32_t epoch, TokenBatch& batch) const;

    const Samples& samples_;
    const Masking& masking_;
    std::uint32_t seed_;
};

}  // namespace locus
