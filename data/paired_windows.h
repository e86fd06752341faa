#pragma once
// The same masked text at several sequence lengths: what a fair comparison of lengths reads.
//
// A window is n_max tokens of the training stream (samples.h), n_max the longest length. Its targets are drawn once, all replaced by [MASK], and
// special tokens are never drawn. For a length n the window is cut into chunks of n tokens; whatever the length, the same targets stand in the
// same corrupted text, and each is scored exactly once. So losses at two lengths differ target by target, not on average over other text.
//
//   boundary none      a chunk is n tokens of the text; n must divide n_max
//   boundary cls_sep   a chunk is [CLS] n - 2 tokens [SEP], and the window is the n_max - 2 tokens of its own longest chunk. Where chunks do
//                      not fill the window exactly, the last one is moved back so that it is full, and scores only what was not scored before
//   scheme chunked     chunks side by side, all targets: how a long text is used in practice. Targets near a chunk's edge lack neighbours
//   scheme centred     chunks every n / 2 tokens, each scoring its central half: every target has n / 4 tokens at least on both sides. Only
//                      targets in the central half of the window count, those that have this at every length
//
// Documents are joined as in training; a [SEP] between two may stand beside the one that closes a chunk.
// source   the masked counterpart of the sliding windows of Press, Smith and Lewis 2022, arXiv:2108.12409, appendix B

#include <cstdint>
#include <string>
#include <vector>

#include "data/batches.h"
#include "data/masking.h"
#include "data/samples.h"

namespace locus {

/// A piece of a window, in places of its text (special tokens that are put around it not counted): the tokens begin .. end - 1 are read, the
/// targets at scored_begin .. scored_end - 1 are scored.
struct Chunk {
    std::int64_t begin = 0, end = 0, scored_begin = 0, scored_end = 0;
};

/// The chunks of `size` tokens of a window of `window` tokens, by "chunked" or "centred"; size at least 2 and at most `window`.
std::vector<Chunk> cut_window(std::int64_t window, std::int64_t size, const std::string& scheme);

class PairedWindows {
public:
    /// `shards` must outlive this. `longest`: tokens of a window with its special ones; `count` windows, spread evenly through the text (0: all). Throws DataError for a text
    /// shorter than one window.
    PairedWindows(const TokenShards& shards, const Tokenizer& tokenizer, std::int64_t longest,
                  const std::string& boundary, double mask_probability, std::uint32_t seed, std::int64_t count = 0);

    std::int64_t count() const { return count_; }
    /// Tokens of a window, and what chunks of a length hold of it: without special tokens.
    std::int64_t window_tokens() const { return capacity(longest_); }
    std::int64_t capacity(std::int64_t length) const { return length - 2 * specials_before(); }
    /// 1 when a chunk begins with [CLS] and ends with [SEP], else 0.
    std::int64_t specials_before() const { return cls_sep_ ? 1 : 0; }

    /// Window `index` (0 <= index < count): corrupted ids [window_tokens()], targets and their places.
    void read(std::int64_t index, MaskedSample& window) const;

    /// Appends a chunk as one sequence to a batch that was cleared at the start; nothing when it has no target to score.
    void append(const MaskedSample& window, const Chunk& chunk, TokenBatch& batch) const;

private:
    SpecialTokens special_;
    std::int64_t longest_;
    bool cls_sep_;
    Samples samples_;
    Masking masking_;
    std::uint32_t seed_;
    std::int64_t first_ = 0, there_ = 0, count_ = 0;  // samples that are whole windows; windows asked for
};

/// The targets of a window that a chunk scores: indices first .. last - 1.
struct TargetRange {
    std::size_t first = 0, last = 0;
};
TargetRange scored_targets(const MaskedSample& window, const Chunk& chunk);

}  // namespace locus
