#pragma once
// The words of CUDA for an ordinary C++ compiler, so that a kernel's source also runs on the processor: slowly, but where there is a debugger, a
// sanitizer, and no GPU. kernels/gpu.h includes this file where the compiler is not nvcc.
//
//     grid       blocks run one after the other
//     block      each of its threads is a fiber: it runs until it waits for others (__syncthreads, a shuffle) and goes on when they have come
//     order      in which the threads of a block are let run. A kernel that forgets a barrier gives other bits in another order, so tests try several
//     memory     dynamic shared memory is filled with NaN before each block and is as long as was asked for. Device memory: simt_runtime.h
//
// What it does not have: the memory model of a GPU (threads switch only where they wait), warps that diverge, limits of registers, asynchronous
// errors. Only a GPU can check those.
//
// errors     threads of a block that wait for each other at different places, or end while others wait, throw std::logic_error naming the kernel

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): they are CUDA's
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static

namespace locus::simt {

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};

enum class Order : std::uint8_t { forward, backward, shuffled };

/// In which order the threads of a block run from now on. Forward and backward, a warp goes on until it waits for the whole block, then the next one does;
/// shuffled, all go on from one barrier to the next.
void set_order(Order order);

/// How much shared memory a block can have from now on. At first 227 KB, as with compute capability 9.0.
void set_most_shared_bytes(std::size_t bytes);

/// Queues a run of `thread` (simt_runtime.h), once for each thread of each block. Threads are numbered along x, then y, then z; 32 in a row are a warp.
void run(const char* op, dim3 grid, dim3 block, std::size_t shared_bytes, std::function<void()> thread);

/// Of the thread that runs.
extern dim3 threadIdx, blockIdx, blockDim, gridDim;

/// The dynamic shared memory of the block that runs.
void* dynamic_shared_memory();

void __syncthreads();
void __syncwarp();

/// Gives `value` to the other threads of the warp and returns that of its thread `lane`. All 32 have to come.
std::uint64_t exchange(std::uint64_t value, unsigned lane);
/// Place of the running thread in its warp.
unsigned lane_of_thread();

template <class T>
T __shfl_sync(unsigned, T value, int lane) {
    static_assert(sizeof(T) <= sizeof(std::uint64_t));
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    bits = exchange(bits, static_cast<unsigned>(lane) % 32);
    std::memcpy(&value, &bits, sizeof(T));
    return value;
}
template <class T>
T __shfl_xor_sync(unsigned warp, T value, int mask) {
    return __shfl_sync(warp, value, static_cast<int>(lane_of_thread()) ^ mask);
}

inline int atomicMax(int* address, int value) {
    const int before = *address;
    if (value > before) *address = value;
    return before;
}
inline float rsqrtf(float x) { return 1.0F / std::sqrt(x); }
inline float __fdividef(float x, float y) { return x / y; }
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

}  // namespace locus::simt
