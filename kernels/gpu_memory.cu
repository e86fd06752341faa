// CUDA's runtime behind gpu_memory.h. Every call is checked; a message names the call, what was asked for and what the device said.

#include "kernels/gpu_memory.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <new>
#include <unordered_map>
#include <vector>

#include "kernels/call_context.h"
#include "kernels/gpu_runtime.h"

namespace locus::LOCUS_TARGET {
namespace {

[[noreturn]] void throw_gpu_error(const std::string& what, cudaError_t error) {
    cudaGetLastError();  // what was refused is told once; the next launch would be blamed, too
    throw GpuError("the GPU refused: " + what + ": " + cudaGetErrorString(error));
}

std::string described(dim3 size) {
    return std::to_string(size.x) + " x " + std::to_string(size.y) + " x " + std::to_string(size.z);
}

std::string described(const Launch& how) {
    const std::string what = how.grid.x == 0
                                 ? "what a library launched"
                                 : described(how.grid) + " blocks of " + described(how.block) + " threads, " +
                                       std::to_string(how.shared_bytes) + " bytes of shared memory";
    return std::string("[") + how.op + "] " + what + ", at " + place_of(how.file, how.line);
}

// Kept until the program ends: CUDA itself may be gone before a static object is.
struct Scratch {
    void* address = nullptr;
    std::size_t bytes = 0;
    std::vector<void*> outgrown;  // kernels that still use them may be queued or recorded
};

Scratch& the_scratch() {
    static auto* const only = new Scratch;
    return *only;
}

cudaError_t wait_if_wished() {
    return waits_for_each_kernel() && !is_recording() ? cudaStreamSynchronize(the_stream()) : cudaSuccess;
}

}  // namespace

void check_runtime(cudaError_t error, const char* what, const char* file, int line) {
    if (error != cudaSuccess) throw_gpu_error(what + (", at " + place_of(file, line)), error);
}

cudaStream_t the_stream() {
#ifdef __CUDACC__
    static cudaStream_t only = [] {
        cudaStream_t made = nullptr;
        check_runtime(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "making a stream");
        return made;
    }();
    return only;
#else
    return 0;
#endif
}

#ifdef __CUDACC__

namespace {

cudaDeviceProp properties_of_device() {
    int device = 0;
    cudaDeviceProp properties{};
    check_runtime(cudaGetDevice(&device), "asking for the device");
    check_runtime(cudaGetDeviceProperties(&properties, device), "asking for its properties");
    return properties;
}

int compute_capability() {
    const cudaDeviceProp properties = properties_of_device();
    return 10 * properties.major + properties.minor;
}

std::string description() {
    const cudaDeviceProp properties = properties_of_device();
    std::array<char, 64> rest{};
    std::snprintf(rest.data(), rest.size(), ", %.0f GiB, compute capability %d.%d",
                  static_cast<double>(properties.totalGlobalMem) / (1024.0 * 1024.0 * 1024.0), properties.major,
                  properties.minor);
    return properties.name + std::string(rest.data());
}

__global__ void any_kernel() {}

std::string why_unavailable() {
    int count = 0;
    cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess || count == 0)
        return std::string("no NVIDIA GPU can be used here (CUDA says: ") + cudaGetErrorString(error) +
               "); is the driver installed, and does nvidia-smi show a device?";
    cudaFuncAttributes attributes{};
    error = cudaFuncGetAttributes(&attributes, any_kernel);
    if (error == cudaSuccess) return "";
    cudaGetLastError();
    return "kernels cannot run on " + description() + " (CUDA says: " + cudaGetErrorString(error) +
           "); is this program built for it (LOCUS_CUDA_ARCHITECTURES), and does nobody else hold the device?";
}

}  // namespace

void* stream() { return the_stream(); }

void allow_shared_memory(const Launch& how, const void* kernel) {
    constexpr std::size_t without_asking = std::size_t{32} << 10U;  // 48 KB, less what kernels declare as __shared__
    static auto* const allowed =
        new std::unordered_map<const void*, std::size_t>;  // never less again: launches may be recorded
    std::size_t& bytes = (*allowed)[kernel];
    if (how.shared_bytes <= std::max(bytes, without_asking)) return;
    const cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(how.shared_bytes));
    if (error != cudaSuccess) throw_gpu_error(described(how), error);
    bytes = how.shared_bytes;
}

#else
namespace {
std::string why_unavailable() { return ""; }
std::string description() { return "the kernels for a GPU, run on the processor, one thread after the other"; }
int compute_capability() { return 90; }
}  // namespace
#endif

void check_queued(cudaError_t error, const char* what, const char* file, int line) {
    if (error == cudaSuccess) error = wait_if_wished();
    check_runtime(error, what, file, line);
}

std::size_t most_shared_bytes() {
    int device = 0, bytes = 0;
    check_runtime(cudaGetDevice(&device), "asking for the device");
    check_runtime(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
                  "asking for its shared memory");
    return static_cast<std::size_t>(bytes);
}

void check_launch(const Launch& how) {
    cudaError_t error = cudaGetLastError();
    if (error == cudaSuccess) error = wait_if_wished();
    if (error == cudaSuccess) return;
    const bool is_its_own = waits_for_each_kernel() || error == cudaErrorInvalidConfiguration;
    throw_gpu_error(
        described(how) + (is_its_own ? "" : " (or an earlier kernel: with LOCUS_GPU_WAIT=1 each is waited for)"),
        error);
}

namespace {

void check_allocation(cudaError_t error, const char* what) {
    if (error == cudaErrorMemoryAllocation) {
        cudaGetLastError();  // or the next launch would be blamed
        throw std::bad_alloc();
    }
    check_runtime(error, what);
}

// Bytes of each block. It outlives whatever static object releases memory last.
std::unordered_map<void*, std::size_t>& block_bytes() {
    static auto* const table = new std::unordered_map<void*, std::size_t>;
    return *table;
}

void* allocate(std::size_t bytes) {
    void* address = nullptr;
    check_allocation(cudaMalloc(&address, bytes), "memory");
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
    check_runtime(cudaMallocManaged(&address, bytes), "memory shared with the processor");
    return address;
}

void release(void* address) {
    block_bytes().erase(address);
    cudaFree(address);  // in destructors: nobody could handle an error
}

void zero(void* address, std::size_t bytes) {
    check_queued(cudaMemsetAsync(address, 0, bytes, the_stream()), "filling with zeros");
}

void copy_out(void* to, const void* from, std::size_t bytes) {
    check_not_recording("a copy to the processor");
    check_runtime(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, the_stream()), "a copy from the GPU");
    wait();
}
void copy_out_later(void* to, const void* from, std::size_t bytes) {
    check_runtime(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, the_stream()), "a copy from the GPU");
}
void copy_within(void* to, const void* from, std::size_t bytes) {
    check_queued(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, the_stream()), "a copy on the GPU");
}

}  // namespace

void* allocate_pinned(std::size_t bytes) {
    void* address = nullptr;
    check_allocation(cudaHostAlloc(&address, bytes, cudaHostAllocDefault), "pinned memory");
    return address;
}

void release_pinned(void* address) { cudaFreeHost(address); }  // in destructors

void* scratch(std::size_t bytes) {
    Scratch& kept = the_scratch();
    if (kept.bytes >= bytes) return kept.address;
    const std::size_t more = bytes + bytes / 8;  // the number of masked rows differs a little from step to step
    void* const larger = allocate(more);
    if (kept.address != nullptr) kept.outgrown.push_back(kept.address);
    kept.address = larger;
    kept.bytes = more;
    return larger;
}

void release_outgrown_scratch() {
    for (void* const address : the_scratch().outgrown) release(address);
    the_scratch().outgrown.clear();
}

extern const DeviceFunctions device_functions = {.why_unavailable = why_unavailable,
                                                 .description = description,
                                                 .compute_capability = compute_capability,
                                                 .allocate = allocate,
                                                 .allocate_shared = allocate_shared,
                                                 .release = release,
                                                 .allocated = allocated,
                                                 .copy_in = copy_in,
                                                 .copy_out = copy_out,
                                                 .copy_within = copy_within,
                                                 .copy_out_later = copy_out_later,
                                                 .zero = zero,
                                                 .wait = wait,
                                                 .allocate_pinned = allocate_pinned,
                                                 .release_pinned = release_pinned,
                                                 .make_point = make_point,
                                                 .set_point = set_point,
                                                 .wait_for_point = wait_for_point,
                                                 .release_point = release_point,
                                                 .make_graph = make_graph,
                                                 .run_graph = run_graph,
                                                 .release_graph = release_graph};

}  // namespace locus::LOCUS_TARGET
