#pragma once
// Copies to shared memory that arrive later. A thread begins as many as it has to and waits once: they are all under way together, and need no registers.
//
//     copy_later(to, from);      16 bytes, at addresses that are multiples of 16
//     wait_for_copies();         those that this thread has begun are there
//     __syncthreads();           those of the others too
//
// A thread that has begun copies waits for them before it ends.
//
//   device   cp.async, compute capability 8.0 or later; before, a copy is done at once. The stand-in for a GPU copies as late as it may, in
//            wait_for_copies(), so that tests see who forgot it

#include "kernels/gpu_vector.h"

#ifndef __CUDACC__
#include <utility>
#include <vector>
#endif

namespace locus::LOCUS_TARGET {

#if !defined(__CUDACC__)
/// Of the running thread: to where, from where.
inline std::vector<std::pair<void*, const void*>>& copies_under_way() {
    static std::vector<std::pair<void*, const void*>> of_thread[1024];
    return of_thread[threadIdx.x];
}
inline void copy_later(void* to, const void* from) { copies_under_way().emplace_back(to, from); }
inline void wait_for_copies() {
    for (const auto& [to, from] : copies_under_way()) *static_cast<Words*>(to) = *static_cast<const Words*>(from);
    copies_under_way().clear();
}
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
__device__ inline void copy_later(void* to, const void* from) {
    *static_cast<Words*>(to) = *static_cast<const Words*>(from);
}
__device__ inline void wait_for_copies() {}
#else
__device__ inline void copy_later(void* to, const void* from) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;"
                 :
                 : "r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(to))), "l"(__cvta_generic_to_global(from))
                 : "memory");
}
__device__ inline void wait_for_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }
#endif

}  // namespace locus::LOCUS_TARGET
