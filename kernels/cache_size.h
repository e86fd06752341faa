#pragma once
// How large the caches are, for measurements that want to be larger.

#include <cstdint>

namespace locus {

/// Bytes of the last-level cache as the operating system reports it; 0 where it does not say.
std::int64_t last_level_cache();

}  // namespace locus
