#include "kernels/cache_size.h"

#include <gtest/gtest.h>

namespace locus {
namespace {

TEST(LastLevelCache, IsUnknownOrOfAPlausibleSize) {
    const std::int64_t bytes = last_level_cache();
    EXPECT_TRUE(bytes == 0 || (bytes >= (1 << 15) && bytes < (std::int64_t{1} << 40))) << bytes;
}

}  // namespace
}  // namespace locus
