#pragma once
// Masked-LM corruption: which tokens are to be predicted, and what stands in their place.
//
//   chosen    max(1, round(probability * maskable)) tokens, maskable = all but special tokens;  by token, by whole word, or by span
//             (lengths 1..longest_span with probability proportional to 1/length); whole units only, until the count is reached
//   in place  of each chosen token: [MASK] with probability `mask`, a random ordinary token with `random`, itself with `keep`
//
// A pure function of (seed, epoch, sample): philox key (seed, stream_masking), counter (position, draw, sample, epoch). A sample without
// a maskable token has no target.
// paper     Devlin et al. 2019, section 3.1; whole words: its 2019 update; spans: Joshi et al. 2020, arXiv:1907.10529

#include <cstdint>
#include <vector>

#include "data/settings.h"
#include "data/tokenizer.h"

namespace locus {

struct MaskedSample {
    std::vector<std::int32_t> ids;        // corrupted
    std::vector<std::int32_t> positions;  // of the targets, strictly increasing
    std::vector<std::int32_t> targets;    // the original ids there
};

class Masking {
public:
    Masking(const MaskingSettings& settings, const Tokenizer& tokenizer);

    /// Corrupts `ids`; `out` is reused memory.
    void apply(const std::vector<std::int32_t>& ids, std::uint32_t seed, std::uint32_t epoch, std::uint32_t sample,
               MaskedSample& out) const;

private:
    MaskingSettings settings_;
    std::vector<bool> special_, continues_word_;  // by id
    std::vector<std::int32_t> ordinary_;          // ids that may stand in as random tokens
    std::int32_t mask_id_;
};

/// Validation masks use this epoch number, so that they are the same for ever.
constexpr std::uint32_t validation_epoch = 0xFFFFFFFFU;

}  // namespace locus
