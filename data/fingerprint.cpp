#include "data/fingerprint.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <vector>

#include "data/error.h"
#include "data/file_descriptor.h"

namespace locus {

static_assert(std::endian::native == std::endian::little, "files and hashes are read as little-endian words");

namespace {

constexpr std::uint64_t prime1 = 0x9E3779B185EBCA87U, prime2 = 0xC2B2AE3D27D4EB4FU, prime3 = 0x165667B19E3779F9U,
                        prime4 = 0x85EBCA77C2B2AE63U, prime5 = 0x27D4EB2F165667C5U;

template <typename Word>
Word load(const char* from) {
    Word word;
    std::memcpy(&word, from, sizeof word);
    return word;
}

std::uint64_t round(std::uint64_t lane, std::uint64_t word) { return std::rotl(lane + word * prime2, 31) * prime1; }

std::uint64_t merge(std::uint64_t hash, std::uint64_t lane) { return (hash ^ round(0, lane)) * prime1 + prime4; }

const char* take_stripes(std::array<std::uint64_t, 4>& lanes, const char* from, const char* end) {
    auto [a, b, c, d] = lanes;
    for (; end - from >= 32; from += 32) {
        a = round(a, load<std::uint64_t>(from));
        b = round(b, load<std::uint64_t>(from + 8));
        c = round(c, load<std::uint64_t>(from + 16));
        d = round(d, load<std::uint64_t>(from + 24));
    }
    lanes = {a, b, c, d};
    return from;
}

std::uint64_t take_rest(std::uint64_t hash, const char* from, const char* end) {
    for (; end - from >= 8; from += 8) {
        hash = std::rotl(hash ^ round(0, load<std::uint64_t>(from)), 27) * prime1 + prime4;
    }
    if (end - from >= 4) {
        hash = std::rotl(hash ^ load<std::uint32_t>(from) * prime1, 23) * prime2 + prime3;
        from += 4;
    }
    for (; from < end; ++from) hash = std::rotl(hash ^ static_cast<unsigned char>(*from) * prime5, 11) * prime1;
    hash = (hash ^ (hash >> 33U)) * prime2;
    hash = (hash ^ (hash >> 29U)) * prime3;
    return hash ^ (hash >> 32U);
}

}  // namespace

Fingerprint::Fingerprint(std::uint64_t seed)
    : lanes_{seed + prime1 + prime2, seed + prime2, seed, seed - prime1}, seed_(seed) {}

void Fingerprint::add(std::string_view bytes) {
    const char* from = bytes.data();
    const char* end = from + bytes.size();
    const std::size_t held = total_ % 32;
    total_ += bytes.size();
    if (held > 0) {
        const std::size_t taken = std::min(bytes.size(), 32 - held);
        std::copy_n(from, taken, rest_.data() + held);
        from += taken;
        if (held + taken < 32) return;
        take_stripes(lanes_, rest_.data(), rest_.data() + 32);
    }
    from = take_stripes(lanes_, from, end);
    std::copy(from, end, rest_.data());
}

void Fingerprint::add_number(std::uint64_t number) {
    add(std::string_view(reinterpret_cast<const char*>(&number), sizeof number));
}

void Fingerprint::add_text(std::string_view text) {
    add_number(text.size());
    add(text);
}

std::uint64_t Fingerprint::value() const {
    std::uint64_t hash = seed_ + prime5;
    if (total_ >= 32) {
        hash = std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) + std::rotl(lanes_[2], 12) + std::rotl(lanes_[3], 18);
        for (const std::uint64_t lane : lanes_) hash = merge(hash, lane);
    }
    return take_rest(hash + total_, rest_.data(), rest_.data() + total_ % 32);
}

std::uint64_t fingerprint(std::string_view bytes, std::uint64_t seed) {
    Fingerprint hash(seed);
    hash.add(bytes);
    return hash.value();
}

std::string hexadecimal(std::uint64_t value) { return fmt::format("{:016x}", value); }

namespace {

std::uint64_t fingerprint_of_contents(const FileDescriptor& file) {
    Fingerprint hash;
    std::vector<char> buffer(std::size_t{1} << 20U);
    while (const std::size_t bytes = file.read(buffer.data(), buffer.size())) hash.add({buffer.data(), bytes});
    return hash.value();
}

/// What must stay the same for a remembered fingerprint to hold.
nlohmann::json identity(const std::filesystem::path& absolute, const struct stat& status) {
    return {{"format", "locus-file-fingerprint"},
            {"version", 1},
            {"path", hexadecimal(fingerprint(absolute.native()))},  // JSON wants UTF-8, paths are bytes
            {"device", status.st_dev},
            {"inode", status.st_ino},
            {"bytes", status.st_size},
            {"modified", {status.st_mtim.tv_sec, status.st_mtim.tv_nsec}},
            {"changed", {status.st_ctim.tv_sec, status.st_ctim.tv_nsec}}};
}

std::optional<std::uint64_t> remembered(const std::filesystem::path& record, const nlohmann::json& wanted) {
    std::ifstream in(record);
    if (!in) return std::nullopt;
    nlohmann::json found = nlohmann::json::parse(in, nullptr, false);
    if (!found.is_object() || !found.contains("xxh64") || !found["xxh64"].is_number_unsigned()) return std::nullopt;
    const auto hash = found["xxh64"].get<std::uint64_t>();
    found.erase("xxh64");
    return found == wanted ? std::optional(hash) : std::nullopt;
}

void remember(const std::filesystem::path& record, nlohmann::json contents, std::uint64_t hash) {
    std::error_code ignored;  // the next start hashes again, that is all
    std::filesystem::create_directories(record.parent_path(), ignored);
    contents["xxh64"] = hash;
    const std::filesystem::path beside = record.native() + fmt::format(".{}", ::getpid());
    std::ofstream out(beside);
    out << contents.dump() << '\n';
    out.close();
    if (out) {
        std::filesystem::rename(beside, record, ignored);
    } else {
        std::filesystem::remove(beside, ignored);
    }
}

bool settled(const struct stat& status) {
    const std::time_t newest = std::max(status.st_mtim.tv_sec, status.st_ctim.tv_sec);
    return std::time(nullptr) - newest > 2;
}

}  // namespace

std::uint64_t fingerprint_of_file(const std::filesystem::path& file, const std::filesystem::path& cache) {
    const FileDescriptor opened = open_to_read(file);
    if (cache.empty()) return fingerprint_of_contents(opened);
    const std::filesystem::path absolute = std::filesystem::absolute(file);
    const nlohmann::json wanted = identity(absolute, opened.status());
    const std::filesystem::path record =
        cache / "fingerprints" / (hexadecimal(fingerprint(absolute.native())) + ".json");
    if (const auto hash = remembered(record, wanted)) return *hash;
    const std::uint64_t hash = fingerprint_of_contents(opened);
    const struct stat after = opened.status();
    if (settled(after) && identity(absolute, after) == wanted) remember(record, wanted, hash);
    return hash;
}

}  // namespace locus
