#pragma once
// A corpus as token ids on disk, mapped into memory: tokenised once, in parallel, in bounded memory.
//
// A prepared corpus is a folder CACHE/<fingerprint of text and tokenizer>/ with tokens-NNNNN.bin (2 bytes per token where the vocabulary
// allows, else 4), documents.bin (the start of each document, 8 bytes each) and index.json (format, counts, the largest id, checksums),
// which is written last: a folder without it is an interrupted preparation and is made anew.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "data/corpus.h"
#include "data/progress.h"
#include "data/settings.h"
#include "data/tokenizer.h"

namespace locus {

/// The token stream of a prepared corpus: documents one after the other, without special tokens.
class TokenShards {
public:
    /// Opens a prepared corpus. Throws DataError for a missing, truncated or altered file, and for a token id that the vocabulary lacks.
    /// Up to 1 GiB every file is hashed each time (a fraction of a second from the page cache); above that once, and again when its
    /// size, times or inode differ, so that opening stays fast.
    TokenShards(const std::filesystem::path& folder, std::int32_t vocab_size);
    ~TokenShards();
    TokenShards(const TokenShards&) = delete;
    TokenShards& operator=(const TokenShards&) = delete;

    std::int64_t tokens() const;
    std::int64_t documents() const;
    /// Index of the first token of document d; documents() + 1 entries, the last is tokens().
    std::span<const std::uint64_t> document_starts() const;
    /// What reading the text counted, and how many of the tokens are [UNK].
    const CorpusStatistics& statistics() const;
    std::int64_t unknown_tokens() const;
    /// Appends tokens begin .. end-1. Throws std::out_of_range.
    void read(std::int64_t begin, std::int64_t end, std::vector<std::int32_t>& ids) const;

private:
    struct Implementation;
    std::unique_ptr<Implementation> implementation_;
};

/// $LOCUS_CACHE, else $XDG_CACHE_HOME/locus, else ~/.cache/locus.
std::filesystem::path cache_folder();

/// The folder of the prepared corpus of `files`, made now if it is not there: the same bytes for any number of threads, in memory of a
/// few MiB per thread. Several processes may do so at once. Throws DataError, or std::system_error (disk full: the half-made folder is
/// removed); what `progress` throws cancels the work and leaves nothing behind.
std::filesystem::path prepare_shards(const std::vector<std::filesystem::path>& files, const DataSettings& settings,
                                     const Tokenizer& tokenizer, const std::filesystem::path& cache,
                                     const ProgressReport& progress = {});

}  // namespace locus
