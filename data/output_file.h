#pragma once
// A file that is written once from start to end: buffered, hashed on the way, on the disk when finished.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "data/file_descriptor.h"
#include "data/fingerprint.h"

namespace locus {

/// What a finished file holds.
struct WrittenFile {
    std::string name;  // without the folder
    std::int64_t bytes = 0;
    std::uint64_t fingerprint = 0;  // XXH64
};

class OutputFile {
public:
    /// Throws std::system_error, as everything here does (ENOSPC for a full disk).
    explicit OutputFile(const std::filesystem::path& path) : file_(open_to_write(path)) {}

    void write(std::string_view bytes);
    /// Writes what is buffered and waits for the disk. Nothing can be written afterwards.
    WrittenFile finish();

    std::int64_t bytes() const { return bytes_; }

private:
    void flush();

    FileDescriptor file_;
    std::string buffer_;
    Fingerprint fingerprint_;
    std::int64_t bytes_ = 0;
};

}  // namespace locus
