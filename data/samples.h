#pragma once
// A token stream cut into training samples of one length.
//
// boundary cls_sep:  the stream is the documents, each followed by [SEP]; sample = [CLS] window [SEP], window i = its slots i w .. (i + 1) w - 1
//                    with w = sequence_length - 2. When a document ends with the window, its [SEP] closes the sample, and the window
//                    starts one slot earlier instead, so that no [SEP] is doubled and the length stays (the very first sample has
//                    nothing before it and is then one shorter)
// boundary none:     the stream is the documents back to back; sample = window, w = sequence_length
// The last window may be shorter; it is kept when it has at least eight tokens (separators not counted).
// Order: each epoch is a permutation of all samples without replacement (a keyed Feistel network over the index, so sample k of epoch e
// is found without walking there).

#include <cstdint>
#include <vector>

#include "data/settings.h"
#include "data/token_shards.h"
#include "data/tokenizer.h"

namespace locus {

class Samples {
public:
    /// `shards` must outlive this. Throws DataError when the corpus gives no sample, or more than 2^32 - 1.
    Samples(const TokenShards& shards, const DataSettings& settings, const SpecialTokens& special);

    std::int64_t count() const { return count_; }
    /// The ids of sample `index`, in time O(log documents + length). Throws std::out_of_range.
    void read(std::int64_t index, std::vector<std::int32_t>& ids) const;

private:
    std::int64_t document_at(std::int64_t slot) const;
    std::int64_t tokens_before(std::int64_t slot) const;
    void append_stream(std::int64_t begin, std::int64_t end, std::vector<std::int32_t>& ids) const;

    const TokenShards& shards_;
    SpecialTokens special_;
    std::int64_t window_;
    bool cls_sep_;
    std::int64_t slots_ = 0, count_ = 0;  // of the stream; samples
};

/// The sample at place `place` (0 <= place < count) of epoch `epoch`: a bijection for each (seed, epoch).
std::int64_t shuffled(std::int64_t place, std::int64_t count, std::uint32_t seed, std::uint32_t epoch);

}  // namespace locus
