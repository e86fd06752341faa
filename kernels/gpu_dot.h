#pragma once
// A matrix times one vector: a warp for each row of the matrix, so that neighbouring threads read neighbouring numbers.

#include "kernels/gpu.h"

namespace locus::LOCUS_TARGET {

/// A warp for each of `count` rows; whole blocks, so the last warps may have none.
inline Launch one_warp_each(const char* op, std::int64_t count) {
    return {op, {blocks_for(count, threads_per_block / warp_size), 1, 1}, {threads_per_block, 1, 1}};
}
__device__ inline std::int64_t warp_in_grid() { return index_in_grid() / warp_size; }
__device__ inline unsigned lane_in_warp() { return threadIdx.x % warp_size; }

/// The product of two vectors by a warp, of which every thread gets it.
__device__ inline float warp_dot(const float* a, const float* b, std::int64_t count) {
    float sum = 0;
    for (std::int64_t i = lane_in_warp(); i < count; i += warp_size) sum += a[i] * b[i];
    return warp_sum(sum);
}

}  // namespace locus::LOCUS_TARGET
