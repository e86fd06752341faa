#include "data/token_shards.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "data/atomic_folder.h"
#include "data/error.h"
#include "data/file_descriptor.h"
#include "data/fingerprint.h"
#include "data/parallel_encoding.h"
#include "data/shard_writer.h"

namespace locus {
namespace {

/// A whole file, read-only, in the address space. Not to outlive a change of the file's length.
class MappedFile {
public:
    explicit MappedFile(const FileDescriptor& file) : bytes_(static_cast<std::size_t>(file.status().st_size)) {
        if (bytes_ == 0) return;
        address_ = ::mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, file.number(), 0);
        if (address_ == MAP_FAILED) throw_system_error("cannot map", file.path());
    }
    ~MappedFile() {
        if (bytes_ > 0) ::munmap(address_, bytes_);
    }
    MappedFile(MappedFile&& other) noexcept
        : address_(std::exchange(other.address_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    MappedFile& operator=(MappedFile&&) = delete;

    std::string_view view() const { return {static_cast<const char*>(address_), bytes_}; }
    template <typename Number>
    const Number* numbers() const {
        return static_cast<const Number*>(address_);
    }

private:
    void* address_ = nullptr;
    std::size_t bytes_ = 0;
};

[[noreturn]] void damaged(const std::filesystem::path& file, const std::string& what) {
    throw DataError(fmt::format("{}: {}; delete the folder {}, it is made again at the next start", file.string(), what,
                                file.parent_path().string()));
}

struct IndexedFile {
    std::string name, hash;
    std::int64_t bytes = 0;
};

struct Index {
    std::int64_t tokens = 0, documents = 0, bytes_per_token = 0, tokens_per_file = 0, largest_id = 0,
                 unknown_tokens = 0;
    CorpusStatistics statistics;
    std::vector<IndexedFile> files;  // the shards in order, then documents.bin
};

Index index_from_json(const nlohmann::json& json) {
    Index index;
    json.at("tokens").get_to(index.tokens);
    json.at("documents").get_to(index.documents);
    json.at("bytes_per_token").get_to(index.bytes_per_token);
    json.at("tokens_per_file").get_to(index.tokens_per_file);
    json.at("largest_id").get_to(index.largest_id);
    json.at("unknown_tokens").get_to(index.unknown_tokens);
    const nlohmann::json& counts = json.at("statistics");
    counts.at("bytes").get_to(index.statistics.bytes);
    counts.at("paragraphs").get_to(index.statistics.paragraphs);
    counts.at("documents").get_to(index.statistics.documents);
    counts.at("duplicate_paragraphs").get_to(index.statistics.duplicate_paragraphs);
    counts.at("skipped_lines").get_to(index.statistics.skipped_lines);
    counts.at("replaced_sequences").get_to(index.statistics.replaced_sequences);
    for (const nlohmann::json& file : json.at("files")) {
        index.files.push_back({file.at("name"), file.at("xxh64"), file.at("bytes")});
    }
    return index;
}

Index read_index(const std::filesystem::path& folder) {
    const std::filesystem::path path = folder / shard_index_name;
    std::ifstream in(path, std::ios::binary);
    if (!in) damaged(path, "is missing, so the prepared corpus is not complete");
    try {
        nlohmann::json json = nlohmann::json::parse(in);
        if (json.at("format") != shard_format || json.at("version") != shard_version) {
            damaged(path,
                    fmt::format("is \"{}\" version {}, and this program reads \"{}\" version {}",
                                json.at("format").dump(), json.at("version").dump(), shard_format, shard_version));
        }
        const std::string hash = json.at("xxh64");
        json.erase("xxh64");
        if (hash != hexadecimal(fingerprint(json.dump())))
            damaged(path, "does not have the checksum it was written with");
        return index_from_json(json);
    } catch (const nlohmann::json::exception& error) {
        damaged(path, fmt::format("cannot be understood ({})", error.what()));
    }
}

}  // namespace

struct TokenShards::Implementation {
    Index index;
    std::vector<MappedFile> files;  // as index.files

    std::span<const std::uint64_t> starts() const {
        return {files.back().numbers<std::uint64_t>(), static_cast<std::size_t>(index.documents) + 1};
    }

    void open(const std::filesystem::path& folder) {
        index = read_index(folder);
        for (const IndexedFile& file : index.files) {
            const std::filesystem::path path = folder / file.name;
            if (!std::filesystem::exists(path)) damaged(path, "is missing");
            files.emplace_back(open_to_read(path));
            const auto bytes = static_cast<std::int64_t>(files.back().view().size());
            if (bytes != file.bytes) damaged(path, fmt::format("has {} bytes instead of {}", bytes, file.bytes));
        }
        verify(folder);
        check_counts(folder);
    }

    /// Hashes the files in parallel, each as one stream.
    void verify(const std::filesystem::path& folder) const {
        constexpr std::int64_t always_verified = std::int64_t{1} << 30U;
        std::int64_t total = 0;
        for (const IndexedFile& file : index.files) total += file.bytes;
        const auto count = static_cast<std::int64_t>(files.size());
        std::vector<std::uint64_t> hashes(files.size());
        std::vector<std::exception_ptr> errors(files.size());
#pragma omp parallel for schedule(dynamic)
        for (std::int64_t i = 0; i < count; ++i) {
            try {
                hashes[i] = total <= always_verified
                                ? fingerprint(files[i].view())
                                : fingerprint_of_file(folder / index.files[i].name, folder.parent_path());
            } catch (...) {
                errors[i] = std::current_exception();
            }
        }
        for (std::size_t i = 0; i < files.size(); ++i) {
            if (errors[i]) std::rethrow_exception(errors[i]);
            if (hexadecimal(hashes[i]) != index.files[i].hash) {
                damaged(folder / index.files[i].name, "was altered after it was written (its checksum differs)");
            }
        }
    }

    void check_counts(const std::filesystem::path& folder) const {
        std::int64_t bytes = 0;
        for (std::size_t i = 0; i + 1 < index.files.size(); ++i) {
            const std::int64_t left = index.tokens - static_cast<std::int64_t>(i) * index.tokens_per_file;
            if (index.files[i].bytes != std::min(left, index.tokens_per_file) * index.bytes_per_token) bytes = -1;
            if (bytes >= 0) bytes += index.files[i].bytes;
        }
        const bool whole = !index.files.empty() && bytes == index.tokens * index.bytes_per_token &&
                           index.files.back().bytes == (index.documents + 1) * 8 &&
                           (index.bytes_per_token == 2 || index.bytes_per_token == 4);
        if (!whole) damaged(folder / shard_index_name, "does not agree with the sizes of its files");
    }
};

TokenShards::TokenShards(const std::filesystem::path& folder, std::int32_t vocab_size)
    : implementation_(std::make_unique<Implementation>()) {
    implementation_->open(folder);
    const std::int64_t largest = implementation_->index.largest_id;
    if (largest >= vocab_size) {
        throw DataError(
            fmt::format("{}: holds token id {}, but the vocabulary has {} entries; these tokens are of another "
                        "tokenizer: use that one, or prepare the text again",
                        folder.string(), largest, vocab_size));
    }
}

TokenShards::~TokenShards() = default;

std::int64_t TokenShards::tokens() const { return implementation_->index.tokens; }
std::int64_t TokenShards::documents() const { return implementation_->index.documents; }
std::span<const std::uint64_t> TokenShards::document_starts() const { return implementation_->starts(); }
const CorpusStatistics& TokenShards::statistics() const { return implementation_->index.statistics; }
std::int64_t TokenShards::unknown_tokens() const { return implementation_->index.unknown_tokens; }

void TokenShards::read(std::int64_t begin, std::int64_t end, std::vector<std::int32_t>& ids) const {
    const Index& index = implementation_->index;
    if (begin < 0 || begin > end || end > index.tokens) {
        throw std::out_of_range(fmt::format("tokens {} to {} of {} were asked for", begin, end, index.tokens));
    }
    while (begin < end) {
        const std::int64_t shard = begin / index.tokens_per_file, place = begin % index.tokens_per_file;
        const std::int64_t count = std::min(end - begin, index.tokens_per_file - place);
        const MappedFile& file = implementation_->files[static_cast<std::size_t>(shard)];
        if (index.bytes_per_token == 2) {
            const auto* from = file.numbers<std::uint16_t>() + place;
            ids.insert(ids.end(), from, from + count);
        } else {
            const auto* from = file.numbers<std::int32_t>() + place;
            ids.insert(ids.end(), from, from + count);
        }
        begin += count;
    }
}

std::filesystem::path cache_folder() {
    const auto variable = [](const char* name) {
        const char* value = std::getenv(name);
        return std::filesystem::path(value == nullptr ? "" : value);
    };
    if (const auto folder = variable("LOCUS_CACHE"); !folder.empty()) return folder;
    if (const auto folder = variable("XDG_CACHE_HOME"); folder.is_absolute()) return folder / "locus";
    if (const auto home = variable("HOME"); !home.empty()) return home / ".cache" / "locus";
    throw DataError("there is no place for prepared text: set LOCUS_CACHE (or HOME) to a folder");
}

std::filesystem::path prepare_shards(const std::vector<std::filesystem::path>& files, const DataSettings& settings,
                                     const Tokenizer& tokenizer, const std::filesystem::path& cache,
                                     const ProgressReport& progress) {
    const ShardOrigin of_text{fingerprint_of_files(files, settings, cache), tokenizer.fingerprint(), {}};
    Fingerprint key;
    key.add_number(shard_version);
    key.add_number(of_text.text);
    key.add_number(of_text.tokenizer);
    const std::filesystem::path place = cache / hexadecimal(key.value());
    if (std::filesystem::exists(place / shard_index_name)) return place;

    AtomicFolder made(place, shard_index_name);
    ShardWriter writer(made.folder(), tokenizer.vocab_size(), tokenizer.special().unknown);
    const CorpusStatistics statistics = encode_corpus(files, settings, tokenizer, writer, progress);
    if (writer.tokens() == 0) {
        throw DataError(fmt::format("the text of {} ({} paragraphs) gives not a single token with this tokenizer",
                                    files.front().string(), statistics.paragraphs));
    }
    writer.finish({of_text.text, of_text.tokenizer, statistics});
    made.publish();
    return place;
}

}  // namespace locus
