#pragma once
// Writes a token stream as the folder that TokenShards reads (token_shards.h).

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/corpus.h"
#include "data/output_file.h"

namespace locus {

/// What index.json says of the origin of the tokens.
struct ShardOrigin {
    std::uint64_t text = 0, tokenizer = 0;  // fingerprints
    CorpusStatistics statistics;
};

class ShardWriter {
public:
    static constexpr std::int64_t tokens_per_file = std::int64_t{1} << 26U;  // 128 MiB at two bytes each

    /// Into an empty folder. Throws std::system_error, as everything here does.
    ShardWriter(std::filesystem::path folder, std::int32_t vocab_size, std::int32_t unknown_id,
                std::int64_t tokens_in_a_file = tokens_per_file);

    /// The next tokens begin a document; one without tokens leaves no trace.
    void begin_document() { begins_document_ = true; }
    /// Throws std::out_of_range for an id outside the vocabulary.
    void add(std::span<const std::int32_t> ids);
    std::int64_t tokens() const { return tokens_; }
    /// Ends all files and writes index.json after them.
    void finish(const ShardOrigin& origin);

private:
    void check(std::span<const std::int32_t> ids);
    void append(std::span<const std::int32_t> ids);

    std::filesystem::path folder_;
    std::int32_t vocab_size_, unknown_id_, largest_ = -1;
    std::int64_t tokens_in_a_file_, tokens_ = 0, documents_ = 0, unknown_ = 0;
    bool begins_document_ = true;
    std::unique_ptr<OutputFile> shard_;
    OutputFile starts_;
    std::vector<WrittenFile> files_;
    std::vector<std::uint16_t> narrow_;
};

/// Bytes that a token of this vocabulary takes on disk.
std::int64_t bytes_per_token(std::int64_t vocab_size);
constexpr const char* shard_index_name = "index.json";
constexpr const char* shard_format = "locus-token-shards";
constexpr int shard_version = 1;

}  // namespace locus
