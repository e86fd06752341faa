#pragma once
#include <stdexcept>

namespace locus {

/// A model that cannot be: settings that contradict each other, or a sequence that the model cannot take. The message says what, where and
/// what would be right.
struct ModelError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

}  // namespace locus
