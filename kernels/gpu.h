#pragma once
// What a kernel for a GPU is written with. A source such as gelu.cu stands beside gelu.cpp and is compiled twice:
//
//     by nvcc, for the GPU                                LOCUS_TARGET = cuda
//     by the C++ compiler, for the processor (simt.h)     LOCUS_TARGET = simt      so that tests run it where there is no GPU
//
//     namespace locus::LOCUS_TARGET {
//     __global__ void double_kernel(const float* x, float* y, std::int64_t count) {
//         const std::int64_t i = index_in_grid();
//         if (i < count) y[i] = 2 * x[i];
//     }
//     void double_it(const Double& args) {
//         launch(one_thread_each("double", args.x.count()), double_kernel, args.x.as<float>(), args.y.as<float>(), args.x.count());
//     }
//     }
//
// Rules. No float atomics: sums have an order that neither the number of blocks at work nor their timing changes. All threads of a block reach each
// __syncthreads, all 32 of a warp each shuffle. A thread may not throw: what only the numbers can tell (an id out of range) goes to raise().
// Everything is in one stream: what is launched later sees what was launched before, and memory may be used again at once.
//
// What bounds a kernel: `bound` at the top of its file. An H200 moves 4.8 TB/s and computes 60 TFLOP/s in float32, so 12 flop while it moves a byte; on tensor
// cores, with bfloat16, 200. Who needs fewer is bound by memory, and takes at least its bytes / 4.8 TB/s; who needs more by arithmetic; who does little of
// either by latency: a launch takes 2 to 3 us, and a number from memory 0.7 us, whoever waits for it.

#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/gpu_memory.h"
#include "kernels/tensor.h"

#ifdef __CUDACC__
#include <cuda_runtime.h>
#else
#include <tuple>

#include "kernels/simt.h"
#include "kernels/simt_runtime.h"
#endif

namespace locus::LOCUS_TARGET {

#ifdef __CUDACC__
constexpr Device this_device = Device::cuda;
#else
constexpr Device this_device = Device::simt;
#endif
constexpr unsigned full_warp = 0xFFFFFFFFU;
constexpr int warp_size = 32;

// ---- launching ----

struct Launch {
    const char* op;  // for messages
    dim3 grid, block;
    std::size_t shared_bytes = 0;         // of dynamic shared memory
    const char* file = __builtin_FILE();  // where this is written, for messages too
    int line = __builtin_LINE();
};

constexpr unsigned threads_per_block = 256;

inline unsigned blocks_for(std::int64_t count, std::int64_t per_block) {
    return static_cast<unsigned>((count + per_block - 1) / per_block);
}

/// A thread for each of `count` numbers.
inline Launch one_thread_each(const char* op, std::int64_t count, const char* file = __builtin_FILE(),
                              int line = __builtin_LINE()) {
    return {op, {blocks_for(count, threads_per_block), 1, 1}, {threads_per_block, 1, 1}, 0, file, line};
}
/// A block of `threads` for each of `count` rows, say.
inline Launch one_block_each(const char* op, std::int64_t count, unsigned threads = threads_per_block,
                             std::size_t shared_bytes = 0, const char* file = __builtin_FILE(),
                             int line = __builtin_LINE()) {
    return {op, {static_cast<unsigned>(count), 1, 1}, {threads, 1, 1}, shared_bytes, file, line};
}

/// Runs `kernel` with these arguments in the device's stream. An empty grid runs nothing. Throws GpuError when the device refuses.
template <class... Parameters, class... Arguments>
void launch(const Launch& how, void (*kernel)(Parameters...), const Arguments&... arguments) {
    if (how.grid.x == 0 || how.grid.y == 0 || how.grid.z == 0) return;
#ifdef __CUDACC__
    allow_shared_memory(how, reinterpret_cast<const void*>(kernel));
    kernel<<<how.grid, how.block, how.shared_bytes, static_cast<cudaStream_t>(stream())>>>(arguments...);
#else
    run(how.op, how.grid, how.block, how.shared_bytes,
        [kernel, by_value = std::tuple<Parameters...>(arguments...)] { std::apply(kernel, by_value); });
#endif
    check_launch(how);
}

/// Calls the body with a float or a bfloat16_t: how the tensors of a GPU are stored. Any other dtype breaks the kernel's contract.
template <class Body>
void for_storage(const char* op, DType dtype, const Body& body) {
    switch (dtype) {
        case DType::float32: return body(float{});
        case DType::bfloat16: return body(bfloat16_t{});
        default:
            throw_contract(op, std::string(name_of(dtype)) + " is not supported on a GPU: use float32 or bfloat16");
    }
}

// ---- inside a kernel ----

__device__ inline std::int64_t index_in_grid() {
    return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

/// The block's dynamic shared memory, Launch::shared_bytes of it, aligned to 16 bytes.
template <class T>
__device__ T* shared_memory() {
#ifdef __CUDACC__
    extern __shared__ __align__(16) unsigned char locus_shared_memory[];
    return reinterpret_cast<T*>(locus_shared_memory);
#else
    return static_cast<T*>(dynamic_shared_memory());
#endif
}

/// Storage is float32 or bfloat16; arithmetic is float32.
__device__ inline float load(const float* from) { return *from; }
__device__ inline void store(float* to, float value) { *to = value; }
__device__ inline float load(const bfloat16_t* from) {
    const std::uint32_t bits = static_cast<std::uint32_t>(from->bits) << 16U;
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}
__device__ inline void store(bfloat16_t* to, float value) {  // to the nearest, halfway to the even one; NaN stays NaN
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(to->bits) : "f"(value));
#else
    std::uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    const bool is_nan = (bits & 0x7FFFFFFFU) > 0x7F800000U;
    bits = is_nan ? bits | 0x00400000U : bits + 0x7FFFU + (bits >> 16U & 1U);
    to->bits = static_cast<std::uint16_t>(bits >> 16U);
#endif
}
/// Two neighbours in a word, the first in the lower half.
__device__ inline std::uint32_t pair_of(bfloat16_t first, bfloat16_t second) {
    return first.bits | static_cast<std::uint32_t>(second.bits) << 16U;
}
/// The same, rounded as store() does, by one instruction where there is one.
__device__ inline std::uint32_t pair_of(float first, float second) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    std::uint32_t pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
    return pair;
#else
    bfloat16_t a, b;
    store(&a, first);
    store(&b, second);
    return pair_of(a, b);
#endif
}

/// Sum and maximum over a warp: every thread gets it. The order is a butterfly, so the bits are the same in each.
template <class T>
__device__ T warp_sum(T value) {
    for (int mask = warp_size / 2; mask > 0; mask /= 2) value += __shfl_xor_sync(full_warp, value, mask);
    return value;
}
template <class T>
__device__ T warp_max(T value) {
    for (int mask = warp_size / 2; mask > 0; mask /= 2) {
        const T other = __shfl_xor_sync(full_warp, value, mask);
        value = other > value ? other : value;
    }
    return value;
}

/// The same over a block of whole warps, threads along x only.
template <class T>
__device__ T block_sum(T value) {
    __shared__ T of_warp[warp_size];
    const unsigned warp = threadIdx.x / warp_size, lane = threadIdx.x % warp_size, warps = blockDim.x / warp_size;
    value = warp_sum(value);
    __syncthreads();  // the last sum has been read
    if (lane == 0) of_warp[warp] = value;
    __syncthreads();
    return warp_sum(lane < warps ? of_warp[lane] : T{0});
}
template <class T>
__device__ T block_max(T value) {
    __shared__ T of_warp[warp_size];
    const unsigned warp = threadIdx.x / warp_size, lane = threadIdx.x % warp_size, warps = blockDim.x / warp_size;
    value = warp_max(value);
    __syncthreads();
    if (lane == 0) of_warp[warp] = value;
    __syncthreads();
    return warp_max(of_warp[lane < warps ? lane : 0]);
}

// ---- what a kernel found wrong ----

/// Notes the fault; the host throws it the next time it waits for the device (gpu_memory.h).
__device__ inline void raise(int* faults, Fault fault) { atomicMax(faults, static_cast<int>(fault)); }

}  // namespace locus::LOCUS_TARGET
