#include "train/folder_checksums.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>

#include "data/fingerprint.h"
#include "train/error.h"
#include "train/safetensors.h"

namespace locus {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

std::string read_all(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw FileError(path.string() + ": cannot be read");
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string header_checksum(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::uint64_t length = 0;
    file.read(reinterpret_cast<char*>(&length), sizeof(length));  // known to be sound: SafetensorsFile has read it
    std::string header(static_cast<std::size_t>(length), '\0');
    file.read(header.data(), static_cast<std::streamsize>(header.size()));
    return hexadecimal(fingerprint(header));
}

json file_checksum(const fs::path& path) {
    json entry = {{"bytes", fs::file_size(path)}};
    if (path.extension() != ".safetensors") {
        entry["checksum"] = hexadecimal(fingerprint(read_all(path)));
        return entry;
    }
    const SafetensorsFile file(path);
    entry["header"] = header_checksum(path);
    entry["tensors"] = json::object();
    for (const auto& [name, tensor] : file.tensors())
        entry["tensors"][name] = hexadecimal(fingerprint({tensor.data, tensor.bytes}));
    return entry;
}

// What differs between two entries of one file; empty: nothing.
std::string difference(const json& expected, const json& found) {
    if (expected.value("bytes", json()) != found["bytes"])
        return fmt::format("is {} bytes long, was written with {}", found["bytes"].dump(),
                           expected.value("bytes", json()).dump());
    if (expected.contains("tensors") && expected.value("header", json()) == found.value("header", json())) {
        for (const auto& [name, sum] : expected["tensors"].items())
            if (found.value("tensors", json::object()).value(name, json()) != sum)
                return fmt::format("tensor '{}' is damaged: its checksum differs from the one of writing", name);
    }
    if (expected != found) return "is damaged: its checksum differs from the one of writing";
    return {};
}

}  // namespace

json folder_checksums(const fs::path& folder) {
    json files = json::object();
    for (const fs::directory_entry& entry : fs::directory_iterator(folder))
        if (entry.is_regular_file()) files[entry.path().filename().string()] = file_checksum(entry.path());
    return files;
}

void verify_folder(const fs::path& folder, const json& expected, const std::set<std::string>& without) {
    for (const auto& [name, entry] : expected.items()) {
        if (without.count(name) > 0) continue;
        const fs::path path = folder / name;
        if (!fs::is_regular_file(path)) throw FileError(path.string() + ": is missing");
        const std::string what = difference(entry, file_checksum(path));
        if (!what.empty()) throw FileError(path.string() + ": " + what);
    }
}

}  // namespace locus
