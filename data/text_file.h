#pragma once
// The bytes of a file, unpacked on the way when its name ends in .zst.

#include <cstdint>
#include <filesystem>
#include <memory>

namespace locus {

class TextFile {
public:
    /// Throws DataError for a file that is missing, a folder, or not ours to read.
    explicit TextFile(const std::filesystem::path& path);
    ~TextFile();
    TextFile(const TextFile&) = delete;
    TextFile& operator=(const TextFile&) = delete;

    /// Up to `capacity` bytes, 0 only at the end. Throws DataError for a .zst file that is cut off, damaged or not zstd at all, and
    /// std::system_error when the disk fails.
    std::size_t read(char* to, std::size_t capacity);

    const std::filesystem::path& path() const;
    bool compressed() const;
    /// Bytes taken from the disk so far, and in all.
    std::int64_t position() const;
    std::int64_t size() const;

private:
    struct Implementation;
    std::unique_ptr<Implementation> implementation_;
};

}  // namespace locus
