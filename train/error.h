#pragma once
// Exit codes, and the exceptions that main() turns into them. Errors of the rooms below: DataError and std::out_of_range -> 3, ModelError -> 2,
// std::bad_alloc -> 5, std::system_error with a disk's code (ENOSPC, EDQUOT, EFBIG, EIO, EROFS) -> 6, anything else -> 1.

#include <stdexcept>

namespace locus {

enum ExitCode {
    exit_done = 0,
    exit_other = 1,
    exit_configuration = 2,
    exit_input = 3,
    exit_not_finite = 4,
    exit_memory = 5,
    exit_disk = 6,
    exit_interrupted = 130,
    exit_terminated = 143,
};

/// Wrong command line or configuration: file, line, column, what, and what would be right. Code 2.
struct ConfigurationError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Unusable model or checkpoint files. Code 3.
struct FileError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Training stopped on a number that is not finite. Code 4.
struct NotFiniteError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

}  // namespace locus
