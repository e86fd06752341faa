#include "kernels/cache_size.h"

#include <unistd.h>

#include <algorithm>

namespace locus {

std::int64_t last_level_cache() {
    long largest = 0;  // some systems know only the inner levels, and answer 0 or -1 for the others
#ifdef _SC_LEVEL4_CACHE_SIZE
    for (const int level : {_SC_LEVEL2_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE, _SC_LEVEL4_CACHE_SIZE})
        largest = std::max(largest, sysconf(level));
#endif
    return largest;
}

}  // namespace locus
