#include "train/comparison/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "train/error.h"
#include "train/log.h"
#include "train/signals.h"

namespace locus {

FolderLock::FolderLock(const std::filesystem::path& folder) : file_(open_to_write(folder / "lock")) {
    if (fcntl(file_.number(), F_SETFD, 0) != 0) throw_system_error("cannot lock", file_.path());  // children inherit it
    constexpr int looks = 300;
    constexpr auto between_looks = std::chrono::milliseconds(100);
    for (int look = 0; look < looks; ++look) {
        if (flock(file_.number(), LOCK_EX | LOCK_NB) == 0) return;
        if (errno != EWOULDBLOCK && errno != EINTR) throw_system_error("cannot lock", file_.path());
        if (look == 0) log_line(fmt::format("waiting for another comparison in {} to end", folder.string()));
        check_signals();
        std::this_thread::sleep_for(between_looks);
    }
    throw ConfigurationError(
        fmt::format("{}: another comparison works here; wait for it, or choose another compare.name", folder.string()));
}

}  // namespace locus
