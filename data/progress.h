#pragma once
#include <cstdint>
#include <functional>
#include <string_view>

namespace locus {

/// How long work reports itself: what is being done, how much of how much (bytes unless the text says otherwise; total 0: unknown).
/// Called from one thread, a few times a second at most. May throw to cancel the work.
using ProgressReport = std::function<void(std::string_view what, std::int64_t done, std::int64_t total)>;

}  // namespace locus
