#pragma once
// A folder of files that appears whole or not at all, also when several processes make it at once.
//
// It is filled under another name beside its place, NAME.partial-<random>, and renamed when everything is on the disk. Its maker holds a lock
// on a file in it, so that a half-made folder whose maker died is told from one at work, on any machine that shares the disk; dead ones
// are removed by the next maker. Making, renaming and removing are serialised by a lock on PARENT/lock.

#include <filesystem>
#include <memory>
#include <string>

#include "data/file_descriptor.h"

namespace locus {

class AtomicFolder {
public:
    /// Makes the parents and the temporary folder. A folder at `place` counts as complete when it has the file `last`. Throws
    /// std::system_error.
    AtomicFolder(std::filesystem::path place, std::string last);
    /// Removes the temporary folder unless it was published.
    ~AtomicFolder();
    AtomicFolder(const AtomicFolder&) = delete;
    AtomicFolder& operator=(const AtomicFolder&) = delete;

    /// Where to write. Its files must be synced (OutputFile::finish()) before publish().
    const std::filesystem::path& folder() const { return folder_; }
    /// Renames the folder to its place. When another process was first, its folder stays and ours is dropped; an incomplete folder
    /// in that place is removed. Throws std::system_error.
    void publish();

private:
    std::filesystem::path place_, folder_;
    std::string last_;
    std::unique_ptr<FileDescriptor> alive_;  // locked while we are
};

}  // namespace locus
