#include "data/file_descriptor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "data/error.h"

namespace locus {

void throw_system_error(const char* what, const std::filesystem::path& path) {
    throw std::system_error(errno, std::generic_category(), fmt::format("{} {}", what, path.string()));
}

FileDescriptor::~FileDescriptor() {
    if (number_ >= 0) ::close(number_);
}

FileDescriptor::FileDescriptor(FileDescriptor&& other) noexcept
    : number_(std::exchange(other.number_, -1)), path_(std::move(other.path_)) {}

struct stat FileDescriptor::status() const {
    struct stat status {};
    if (::fstat(number_, &status) != 0) throw_system_error("cannot examine", path_);
    return status;
}

std::size_t FileDescriptor::read(char* to, std::size_t capacity) const {
    while (true) {
        const ssize_t bytes = ::read(number_, to, capacity);
        if (bytes >= 0) return static_cast<std::size_t>(bytes);
        if (errno != EINTR) throw_system_error("cannot read", path_);
    }
}

void FileDescriptor::write(std::string_view bytes) const {
    while (!bytes.empty()) {
        const ssize_t written = ::write(number_, bytes.data(), bytes.size());
        if (written >= 0) {
            bytes.remove_prefix(static_cast<std::size_t>(written));
        } else if (errno != EINTR) {
            throw_system_error("cannot write", path_);
        }
    }
}

void FileDescriptor::sync() const {
    if (::fsync(number_) != 0) throw_system_error("cannot write", path_);
}

FileDescriptor open_to_read(const std::filesystem::path& path) {
    const int number = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe must not hang here
    if (number < 0) throw DataError(fmt::format("{}: cannot be opened: {}", path.string(), std::strerror(errno)));
    FileDescriptor file(number, path);
    const mode_t mode = file.status().st_mode;
    if (S_ISDIR(mode)) {
        throw DataError(
            fmt::format("{}: is a folder; name its files, for example {}/*.txt", path.string(), path.string()));
    }
    if (!S_ISREG(mode)) throw DataError(fmt::format("{}: is not a regular file; save the data first", path.string()));
    return file;
}

FileDescriptor open_to_write(const std::filesystem::path& path) {
    const int number = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (number < 0) throw_system_error("cannot create", path);
    return {number, path};
}

void sync_folder(const std::filesystem::path& folder) {
    const int number = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (number < 0) throw_system_error("cannot open", folder);
    const FileDescriptor opened(number, folder);
    // Some network file systems cannot do this for folders; their renames are as durable as they get.
    if (::fsync(number) != 0 && errno != EINVAL) throw_system_error("cannot write", folder);
}

}  // namespace locus
