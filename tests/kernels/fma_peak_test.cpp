#include "kernels/fma_peak.h"

#include <gtest/gtest.h>

#include <cmath>

namespace locus {
namespace {

TEST(FmaPeak, IsAPlausibleRate) {
    double gflops = 0.0;
    fma_peak({.seconds = 0.01, .gflops = &gflops});
    EXPECT_GT(gflops, 0.1);
    EXPECT_LT(gflops, 1e6);
}

TEST(FmaPeak, MeasuresAtLeastOnce) {
    double gflops = 0.0;
    fma_peak({.seconds = 0.0, .gflops = &gflops});
    EXPECT_TRUE(std::isfinite(gflops) && gflops > 0.0);
}

}  // namespace
}  // namespace locus
