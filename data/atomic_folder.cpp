#include "data/atomic_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <random>
#include <system_error>
#include <utility>

#include "data/fingerprint.h"

namespace locus {
namespace {

constexpr const char* partial = ".partial-";
constexpr const char* alive_name = "alive";  // the locked file in a temporary folder

/// An open file with the exclusive lock; waits for it, or returns null when `wait` is false and another has it.
std::unique_ptr<FileDescriptor> lock(const std::filesystem::path& path, bool wait) {
    auto file = std::make_unique<FileDescriptor>(open_to_write(path));
    while (::flock(file->number(), wait ? LOCK_EX : LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK && !wait) return nullptr;
        if (errno != EINTR) throw_system_error("cannot lock", path);
    }
    return file;
}

/// A name that nobody else has thought of. This is no randomness that a result could depend on.
std::string random_suffix() {
    std::random_device device;
    return hexadecimal((std::uint64_t{device()} << 32U) | device());
}

void remove_dead(const std::filesystem::path& parent) {
    std::error_code ignored;  // what cannot be removed is in nobody's way
    for (const auto& entry : std::filesystem::directory_iterator(parent, ignored)) {
        if (entry.path().filename().string().find(partial) == std::string::npos) continue;
        try {
            if (lock(entry.path() / alive_name, false) == nullptr) continue;
        } catch (const std::system_error&) {
            continue;  // another user's
        }
        std::filesystem::remove_all(entry.path(), ignored);
    }
}

}  // namespace

AtomicFolder::AtomicFolder(std::filesystem::path place, std::string last)
    : place_(std::move(place)), last_(std::move(last)) {
    std::filesystem::create_directories(place_.parent_path());
    const auto serialised = lock(place_.parent_path() / "lock", true);
    remove_dead(place_.parent_path());
    folder_ = place_.native() + partial + random_suffix();
    std::filesystem::create_directory(folder_);
    try {
        alive_ = lock(folder_ / alive_name, true);
    } catch (...) {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
        throw;
    }
}

AtomicFolder::~AtomicFolder() {
    std::error_code ignored;
    if (alive_ != nullptr) std::filesystem::remove_all(folder_, ignored);
}

void AtomicFolder::publish() {
    const auto serialised = lock(place_.parent_path() / "lock", true);
    if (std::filesystem::exists(place_ / last_)) return;  // another was first
    std::filesystem::remove_all(place_);
    std::filesystem::remove(folder_ / alive_name);
    sync_folder(folder_);
    std::filesystem::rename(folder_, place_);
    alive_.reset();
    sync_folder(place_.parent_path());
}

}  // namespace locus
