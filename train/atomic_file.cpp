#include "train/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "data/file_descriptor.h"
#include "data/output_file.h"

namespace locus {
namespace fs = std::filesystem;
namespace {

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

// A name in the same folder, so that the rename stays within one file system.
fs::path beside(const fs::path& path, const char* purpose) {
    return path.parent_path() / fmt::format(".{}{}{}", path.filename().string(), purpose, getpid());
}

[[noreturn]] void give_up(const char* what, const fs::path& path, const fs::path& temporary) {
    const int error = errno;
    unlink(temporary.c_str());
    errno = error;
    throw_system_error(what, path);
}

}  // namespace

void write_file(const fs::path& path, std::string_view text) {
    try {
        OutputFile file(path);
        file.write(text);
        file.finish();
    } catch (...) {
        unlink(path.c_str());
        throw;
    }
}

void write_file_atomically(const fs::path& path, std::string_view text) {
    const fs::path temporary = beside(path, ".tmp-");
    write_file(temporary, text);
    if (std::rename(temporary.c_str(), path.c_str()) != 0) give_up("cannot replace", path, temporary);
    sync_folder(folder_of(path));
}

void sync_files(const fs::path& folder) {
    for (const fs::directory_entry& entry : fs::directory_iterator(folder))
        if (entry.is_regular_file()) open_to_read(entry.path()).sync();
    sync_folder(folder);
}

void replace_folder(const fs::path& from, const fs::path& to) {
    // A folder cannot be renamed onto one with files in it: exchange the two in one go, then remove the old one under its new name.
    bool old_remains = false;
    if (fs::exists(to)) {
        if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) {
            old_remains = true;
        } else {
            const fs::path old = beside(to, ".tmp-old-");
            fs::rename(to, old);
            fs::rename(from, to);
            fs::remove_all(old);
        }
    } else {
        fs::rename(from, to);
    }
    sync_folder(folder_of(to));
    if (old_remains) fs::remove_all(from);
}

void replace_link(const fs::path& target, const fs::path& link) {
    const fs::path temporary = beside(link, ".tmp-");
    unlink(temporary.c_str());
    if (symlink(target.c_str(), temporary.c_str()) != 0) throw_system_error("cannot create the link", link);
    if (std::rename(temporary.c_str(), link.c_str()) != 0) give_up("cannot replace the link", link, temporary);
    sync_folder(folder_of(link));
}

}  // namespace locus
