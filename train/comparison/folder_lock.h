#pragma once
// One comparison at a time in a folder.

#include <filesystem>

#include "data/file_descriptor.h"

namespace locus {

/// Held by this process and by the children it starts, so that a comparison which was killed is over only when its last child has saved and gone.
class FolderLock {
public:
    /// Waits a short while for the children of a killed comparison. Throws ConfigurationError when the folder stays in use.
    explicit FolderLock(const std::filesystem::path& folder);

private:
    FileDescriptor file_;
};

}  // namespace locus
