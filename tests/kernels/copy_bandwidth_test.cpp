#include "kernels/copy_bandwidth.h"

#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

namespace locus {
namespace {

constexpr std::int64_t mebibyte = std::int64_t{1} << 20;

TEST(CopyBandwidth, IsAPlausibleRate) {
    double rate = 0.0;
    copy_bandwidth({.seconds = 0.01, .bytes = 64 * mebibyte, .gigabytes_per_second = &rate});
    EXPECT_GT(rate, 0.01);
    EXPECT_LT(rate, 1e5);
}

TEST(CopyBandwidth, MeasuresAtLeastOnce) {
    double rate = 0.0;
    copy_bandwidth({.seconds = 0.0, .bytes = 64 * mebibyte, .gigabytes_per_second = &rate});
    EXPECT_TRUE(std::isfinite(rate) && rate > 0.0);
}

TEST(CopyBandwidth, RefusesASetTooSmallForTheThreads) {
    double rate = 0.0;
    EXPECT_THROW(copy_bandwidth({.bytes = 1024, .gigabytes_per_second = &rate}), std::logic_error);
}

}  // namespace
}  // namespace locus
