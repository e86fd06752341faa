#pragma once
// A token stream cut into training samples of one length.
//
// boundary cls_sep:  sample = [CLS] window [SEP], the window sequence_length - 2 slots of the stream in which each document is followed by
//                    [SEP];   boundary none: the window alone, documents back to back
// The last window may be shorter; it is kept when it has at least eight tokens.
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
    /// Throws DataError when the corpus gives no sample.
    Samples(const TokenShards& shards, const DataSettings& settings, const SpecialTokens& special);

    std::int64_t count() const { return count_; }
    /// The ids of sample `index`.
    void read(std::int64_t index, std::vector<std::int32_t>& ids) const;

private:
    const TokenShards& shards_;
    SpecialTokens special_;
    std::int64_t window_;
    bool cls_sep_;
    std::int64_t slots_ = 0, count_ = 0;
};

/// The sample at place `place` (0 <= place < count) of epoch `epoch`: a bijection for each (seed, epoch).
std::int64_t shuffled(std::int64_t place, std::int64_t count, std::uint32_t seed, std::uint32_t epoch);

}  // namespace locus
