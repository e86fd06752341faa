#include "data/shard_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

namespace locus {
namespace {

template <typename Number>
std::string_view bytes_of(std::span<const Number> numbers) {
    return {reinterpret_cast<const char*>(numbers.data()), numbers.size_bytes()};
}

nlohmann::json to_json(const CorpusStatistics& statistics) {
    return {{"bytes", statistics.bytes},
            {"paragraphs", statistics.paragraphs},
            {"documents", statistics.documents},
            {"duplicate_paragraphs", statistics.duplicate_paragraphs},
            {"skipped_lines", statistics.skipped_lines},
            {"replaced_sequences", statistics.replaced_sequences}};
}

}  // namespace

std::int64_t bytes_per_token(std::int64_t vocab_size) { return vocab_size <= 65536 ? 2 : 4; }

ShardWriter::ShardWriter(std::filesystem::path folder, std::int32_t vocab_size, std::int32_t unknown_id,
                         std::int64_t tokens_in_a_file)
    : folder_(std::move(folder)),
      vocab_size_(vocab_size),
      unknown_id_(unknown_id),
      tokens_in_a_file_(tokens_in_a_file),
      starts_(folder_ / "documents.bin") {}

void ShardWriter::check(std::span<const std::int32_t> ids) {
    for (const std::int32_t id : ids) {
        if (id < 0 || id >= vocab_size_) {
            throw std::out_of_range(
                fmt::format("the tokenizer gave id {}, but its vocabulary has {} entries", id, vocab_size_));
        }
        largest_ = std::max(largest_, id);
        unknown_ += id == unknown_id_ ? 1 : 0;
    }
}

void ShardWriter::append(std::span<const std::int32_t> ids) {
    if (bytes_per_token(vocab_size_) == 4) {
        shard_->write(bytes_of(ids));
        return;
    }
    narrow_.assign(ids.begin(), ids.end());
    shard_->write(bytes_of(std::span<const std::uint16_t>(narrow_)));
}

void ShardWriter::add(std::span<const std::int32_t> ids) {
    if (ids.empty()) return;
    check(ids);
    if (std::exchange(begins_document_, false)) {
        const auto start = static_cast<std::uint64_t>(tokens_);
        starts_.write(bytes_of(std::span<const std::uint64_t>(&start, 1)));
        ++documents_;
    }
    while (!ids.empty()) {
        const std::int64_t place = tokens_ % tokens_in_a_file_;
        if (place == 0) {
            if (shard_ != nullptr) files_.push_back(shard_->finish());
            shard_ = std::make_unique<OutputFile>(folder_ / fmt::format("tokens-{:05}.bin", files_.size()));
        }
        const std::size_t fitting = std::min(ids.size(), static_cast<std::size_t>(tokens_in_a_file_ - place));
        append(ids.first(fitting));
        tokens_ += static_cast<std::int64_t>(fitting);
        ids = ids.subspan(fitting);
    }
}

void ShardWriter::finish(const ShardOrigin& origin) {
    if (shard_ != nullptr) files_.push_back(shard_->finish());
    const auto end = static_cast<std::uint64_t>(tokens_);
    starts_.write(bytes_of(std::span<const std::uint64_t>(&end, 1)));
    files_.push_back(starts_.finish());

    nlohmann::json files = nlohmann::json::array();
    for (const WrittenFile& file : files_) {
        files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"xxh64", hexadecimal(file.fingerprint)}});
    }
    nlohmann::json index = {{"format", shard_format},
                            {"version", shard_version},
                            {"tokens", tokens_},
                            {"documents", documents_},
                            {"bytes_per_token", bytes_per_token(vocab_size_)},
                            {"tokens_per_file", tokens_in_a_file_},
                            {"vocab_size", vocab_size_},
                            {"largest_id", largest_},
                            {"unknown_tokens", unknown_},
                            {"text", hexadecimal(origin.text)},
                            {"tokenizer", hexadecimal(origin.tokenizer)},
                            {"statistics", to_json(origin.statistics)},
                            {"files", files}};
    index["xxh64"] = hexadecimal(fingerprint(index.dump()));  // of the index without this entry
    OutputFile out(folder_ / shard_index_name);
    out.write(index.dump(2) + "\n");
    out.finish();
}

}  // namespace locus
