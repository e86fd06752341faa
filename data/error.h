#pragma once
#include <stdexcept>

namespace locus {

/// Data that cannot be used: missing, empty, binary, truncated, in another encoding, too small. The message names the file, the line and
/// byte where that is known, and the remedy. Failures of the operating system (a full disk) are std::system_error instead.
struct DataError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

}  // namespace locus
