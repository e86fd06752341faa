#pragma once
// From settings to batches. Text: synthetic text written if asked for, tokenizer loaded or trained, shards prepared or found. A probe: its
// vocabulary and its examples, which are made as they are needed.

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
    std::unique_ptr<TokenShards> train_shards, valid_shards;  // of text; absent for a probe, as are samples and masking
    std::unique_ptr<Samples> train_samples, valid_samples;
    std::unique_ptr<Masking> masking;
    std::unique_ptr<BatchSource> train, valid;
    std::uint64_t fingerprint = 0;  // of text, or of the probe, and tokenizer
};

/// Everything that training reads. Trained tokenizers lie in the cache beside the shards, keyed by text and settings; train.init_from brings its
/// model's own tokenizer unless data.tokenizer.path names another. Throws DataError when the corpus does not fill one batch, and for a probe
/// whose vocabulary is not that of train.init_from.
PreparedData prepare_data(const Settings& settings, const ProgressReport& progress);

}  // namespace locus
