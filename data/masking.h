#pragma once
// Masked-LM corruption: which tokens are to be predicted, and what stands in their place.
//
//   chosen    max(1, floor(probability * maskable + u)) tokens, maskable = all but special tokens, u uniform in [0, 1) so that the share
//             is exact on average for any sample length;  by token, by whole word, or by span
//             (1..longest_span words, with probability proportional to 1/length); whole words only, in random order, passing over those
//             that would exceed the count; only the very first may exceed it
//   in place  of each chosen token: [MASK] with probability `mask`, a random ordinary token with `random`, itself with `keep`
//             (ordinary: neither special nor a reserved entry such as [unused7])
//
// A pure function of (seed, epoch, sample): philox key (seed, stream_masking), counter (position, draw, sample, epoch); draw 0: order of
// the words, 1: what stands in place, 2: length of a span, 3: u. A sample without a maskable token has no target.
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
    /// Throws DataError for settings out of range and for a vocabulary without an ordinary token.
    Masking(const MaskingSettings& settings, const Tokenizer& tokenizer);

    /// Corrupts `ids`; `out` is reused memory. Throws std::out_of_range for an id outside the vocabulary.
    void apply(const std::vector<std::int32_t>& ids, std::uint32_t seed, std::uint32_t epoch, std::uint32_t sample,
               MaskedSample& out) const;

    /// True when less than a hundredth of the vocabulary continues a word (characters, bytes): unit whole_word is then unit token.
    bool whole_words_are_tokens() const;

private:
    void find_words(const std::vector<std::int32_t>& ids) const;
    void choose(std::int64_t wanted, std::uint32_t seed, std::uint32_t epoch, std::uint32_t sample) const;
    std::int64_t span_length(std::uint32_t bits) const;

    MaskingSettings settings_;
    std::vector<bool> special_, continues_word_;  // by id
    std::vector<std::int32_t> ordinary_;          // ids that may stand in as random tokens
    std::int32_t mask_id_;
    std::vector<double> span_ends_;  // cumulative probabilities of the lengths 1, 2, ...
};

/// Validation masks use this epoch number, so that they are the same for ever.
constexpr std::uint32_t validation_epoch = 0xFFFFFFFFU;

}  // namespace locus
