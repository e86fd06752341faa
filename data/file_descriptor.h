#pragma once
// An open file, closed with its owner; system calls that fail throw.

#include <sys/stat.h>

#include <cstddef>
#include <filesystem>
#include <string_view>

namespace locus {

class FileDescriptor {
public:
    FileDescriptor(int number, std::filesystem::path path) : number_(number), path_(std::move(path)) {}
    ~FileDescriptor();
    FileDescriptor(FileDescriptor&& other) noexcept;
    FileDescriptor& operator=(FileDescriptor&&) = delete;

    int number() const { return number_; }
    const std::filesystem::path& path() const { return path_; }
    struct stat status() const;

    /// Bytes read into `to`, 0 at the end of the file. Throws std::system_error.
    std::size_t read(char* to, std::size_t capacity) const;
    /// Writes all of `bytes`. Throws std::system_error (ENOSPC for a full disk).
    void write(std::string_view bytes) const;
    /// Waits until the contents are on the disk. Throws std::system_error.
    void sync() const;

private:
    int number_;
    std::filesystem::path path_;
};

/// Opens a regular file. Throws DataError for one that is missing, a folder, or not ours to read.
FileDescriptor open_to_read(const std::filesystem::path& path);
/// Makes a new file (an older one is emptied). Throws std::system_error.
FileDescriptor open_to_write(const std::filesystem::path& path);
/// fsync on a folder: what was made, renamed or removed in it stays so. Throws std::system_error.
void sync_folder(const std::filesystem::path& folder);
/// "what PATH" with errno's text.
[[noreturn]] void throw_system_error(const char* what, const std::filesystem::path& path);

}  // namespace locus
