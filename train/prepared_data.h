#pragma once
// From settings to samples: synthetic text written if asked for, tokenizer loaded or trained, shards prepared or found.

#include <cstdint>
#include <memory>

#include "data/batches.h"
#include "data/samples.h"
#include "data/token_shards.h"
#include "data/tokenizer.h"
#include "train/settings.h"

namespace locus {

struct PreparedData {
    std::unique_ptr<Tokenizer> tokenizer;
    std::unique_ptr<TokenShards> train_shards, valid_shards;
    std::unique_ptr<Samples> train_samples, valid_samples;
    std::unique_ptr<Masking> masking;
    std::unique_ptr<Batches> train, valid;
    std::uint64_t fingerprint = 0;  // of text and tokenizer
};

/// Everything that training reads. Trained tokenizers lie in the cache beside the shards, keyed by text and settings; train.init_from brings its
/// model's own tokenizer unless data.tokenizer.path names another. Throws DataError when the corpus does not fill one batch.
PreparedData prepare_data(const Settings& settings, const ProgressReport& progress);

}  // namespace locus
