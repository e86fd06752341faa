// CUDA's runtime behind gpu_memory.h. Every call is checked; a message names the call, what was asked for and what the device said.

#include "kernels/gpu_memory.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <unordered_map>

#include "kernels/gpu.h"

namespace locus::LOCUS_TARGET {
namespace {

[[noreturn]] void throw_gpu_error(const std::string& what, cudaError_t error) {
    throw GpuError("the GPU refused: " + what + ": " + cudaGetErrorString(error));
}

void check(cudaError_t error, const char* what) {
    if (error != cudaSuccess) throw_gpu_error(what, error);
}

cudaStream_t the_stream() {
#ifdef __CUDACC__
    static cudaStream_t only = [] {
        cudaStream_t made = nullptr;
        check(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "making a stream");
        return made;
    }();
    return only;
#else
    return 0;
#endif
}

// Kept until the program ends: CUDA itself may be gone before a static object is.
struct Kept {
    void* address = nullptr;
    std::size_t bytes = 0;
};

void throw_fault(int fault) {
    constexpr std::array<const char*, 6> messages = {
        "",
        "[embedding] an id lies outside of its table",
        "[cross_entropy] a target lies outside of the vocabulary",
        "[gather_rows] an index lies outside of the rows, or they do not rise",
        "[rotary] a position lies outside of the table of angles",
        "[row_products] a pair names a row that is not there"};
    throw std::out_of_range(messages.at(static_cast<std::size_t>(fault)));
}

}  // namespace

#ifdef __CUDACC__

namespace {

std::string why_unavailable() {
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error == cudaSuccess && count > 0) return "";
    return std::string("no NVIDIA GPU can be used here (CUDA says: ") + cudaGetErrorString(error) +
           "); is the driver installed, and does nvidia-smi show a device?";
}

std::string description() {
    int device = 0;
    cudaDeviceProp properties{};
    check(cudaGetDevice(&device), "asking for the device");
    check(cudaGetDeviceProperties(&properties, device), "asking for its properties");
    std::array<char, 64> rest{};
    std::snprintf(rest.data(), rest.size(), ", %.0f GiB, compute capability %d.%d",
                  static_cast<double>(properties.totalGlobalMem) / (1024.0 * 1024.0 * 1024.0), properties.major,
                  properties.minor);
    return properties.name + std::string(rest.data());
}

}  // namespace

void* stream() { return the_stream(); }

void allow_shared_memory(const char* op, const void* kernel, std::size_t bytes) {
    constexpr std::size_t without_asking = std::size_t{48} << 10U;
    if (bytes <= without_asking) return;
    const cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
    if (error != cudaSuccess)
        throw_gpu_error(std::string("[") + op + "] " + std::to_string(bytes) + " bytes of shared memory", error);
}

void check_launch(const char* op, unsigned grid_x, unsigned grid_y, unsigned threads, std::size_t shared_bytes) {
    static const bool waits = [] {
        const char* const wish = std::getenv("LOCUS_GPU_WAIT");
        return wish != nullptr && std::string(wish) == "1";
    }();
    cudaError_t error = cudaGetLastError();
    if (error == cudaSuccess && waits) error = cudaStreamSynchronize(the_stream());
    if (error == cudaSuccess) return;
    throw_gpu_error(std::string("[") + op + "] " + std::to_string(grid_x) + " x " + std::to_string(grid_y) +
                        " blocks of " + std::to_string(threads) + " threads with " + std::to_string(shared_bytes) +
                        " bytes of shared memory",
                    error);
}

#else
namespace {
std::string why_unavailable() { return ""; }
std::string description() { return "the kernels for a GPU, run on the processor, one thread after the other"; }
}  // namespace
#endif

namespace {

// Bytes of each block. It outlives whatever static object releases memory last.
std::unordered_map<void*, std::size_t>& block_bytes() {
    static auto* const table = new std::unordered_map<void*, std::size_t>;
    return *table;
}

void* allocate(std::size_t bytes) {
    void* address = nullptr;
    const cudaError_t error = cudaMalloc(&address, bytes);
    if (error == cudaErrorMemoryAllocation) throw std::bad_alloc();
    check(error, "memory");
    block_bytes()[address] = bytes;
    return address;
}

std::size_t allocated() {
    std::size_t sum = 0;
    for (const auto& [address, bytes] : block_bytes()) sum += bytes;
    return sum;
}

void* allocate_shared(std::size_t bytes) {
    void* address = nullptr;
    check(cudaMallocManaged(&address, bytes), "memory shared with the processor");
    return address;
}

void release(void* address) {
    block_bytes().erase(address);
    cudaFree(address);  // in destructors: nobody could handle an error
}

void zero(void* address, std::size_t bytes) {
    check(cudaMemsetAsync(address, 0, bytes, the_stream()), "filling with zeros");
}

void wait() {
    int fault = 0;
    check(cudaMemcpyAsync(&fault, faults(), sizeof(int), cudaMemcpyDeviceToHost, the_stream()), "asking for faults");
    check(cudaStreamSynchronize(the_stream()), "waiting for the GPU");
    if (fault == 0) return;
    zero(faults(), sizeof(int));
    throw_fault(fault);
}

void copy_in(void* to, const void* from, std::size_t bytes) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, the_stream()), "a copy to the GPU");
}
void copy_out(void* to, const void* from, std::size_t bytes) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, the_stream()), "a copy from the GPU");
    wait();
}
void copy_within(void* to, const void* from, std::size_t bytes) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, the_stream()), "a copy on the GPU");
}

}  // namespace

void* scratch(std::size_t bytes) {
    static Kept kept;
    if (kept.bytes < bytes) {
        if (kept.address != nullptr) release(kept.address);
        kept = {};
        kept = {allocate(bytes), bytes};
    }
    return kept.address;
}

int* faults() {
    static int* const word = [] {
        void* const made = allocate(sizeof(int));
        zero(made, sizeof(int));
        return static_cast<int*>(made);
    }();
    return word;
}

extern const DeviceFunctions device_functions = {.why_unavailable = why_unavailable,
                                                 .description = description,
                                                 .allocate = allocate,
                                                 .allocate_shared = allocate_shared,
                                                 .release = release,
                                                 .allocated = allocated,
                                                 .copy_in = copy_in,
                                                 .copy_out = copy_out,
                                                 .copy_within = copy_within,
                                                 .zero = zero,
                                                 .wait = wait};

}  // namespace locus::LOCUS_TARGET
