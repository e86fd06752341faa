#define LOCUS_TARGET simt
#include "kernels/gpu_copy.h"

#include <gtest/gtest.h>

#include <vector>

namespace locus::simt {
namespace {

// A kernel that does not wait finds what was there before.
TEST(GpuCopy, ArrivesWhenItsThreadWaits) {
    std::vector<Words> from(64), to(64, Words{}), before(64), after(64);
    for (std::uint32_t n = 0; n < 64; ++n) from[n] = {{n, n + 1, n + 2, n + 3}};
    run("test", {1, 1, 1}, {64, 1, 1}, 0, [&] {
        copy_later(&to[threadIdx.x], &from[threadIdx.x]);
        before[threadIdx.x] = to[threadIdx.x];
        wait_for_copies();
        __syncthreads();
        after[threadIdx.x] = to[63 - threadIdx.x];
    });
    for (std::size_t n = 0; n < 64; ++n) {
        EXPECT_EQ(before[n].of[3], 0U);
        EXPECT_EQ(after[n].of[3], 63 - n + 3);
    }
}

}  // namespace
}  // namespace locus::simt
