#pragma once
// Text through the tokenizer and into shards: a thread reads ahead, all threads tokenise blocks, one writes them in the order of the text.

#include <filesystem>
#include <vector>

#include "data/corpus.h"
#include "data/progress.h"
#include "data/settings.h"
#include "data/shard_writer.h"
#include "data/tokenizer.h"

namespace locus {

/// The tokens do not depend on the number of threads. Memory: three rounds of four blocks of 128 KiB per thread, with their tokens (a
/// paragraph of up to 1 MiB makes a block larger). Throws what the reader, the tokenizer, the writer or `progress` throws.
CorpusStatistics encode_corpus(const std::vector<std::filesystem::path>& files, const DataSettings& settings,
                               const Tokenizer& tokenizer, ShardWriter& writer, const ProgressReport& progress);

}  // namespace locus
