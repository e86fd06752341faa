#pragma once
// Memory, copies and errors of one GPU: the thin layer between device.h, gpu.h and CUDA's runtime. Everything is queued in one stream.

#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/device.h"

namespace locus {

/// What a kernel can find wrong with the numbers it was given; the largest that was raised is reported.
enum class Fault : std::uint8_t { none, embedding_id, target, gather_index, rotary_position, product_row };

/// What a device has to be able to do. Sizes in bytes; what each throws: device.h.
struct DeviceFunctions {
    std::string (*why_unavailable)();
    std::string (*description)();
    void* (*allocate)(std::size_t bytes);  // throws std::bad_alloc
    void* (*allocate_shared)(
        std::size_t bytes);  // the same, and the processor can read and write it while no kernel runs: for tests
    void (*release)(void* address);
    std::size_t (*allocated)();  // bytes that allocate() gave and release() has not taken back
    void (*copy_in)(void* to, const void* from, std::size_t bytes);
    void (*copy_out)(void* to, const void* from, std::size_t bytes);  // waits
    void (*copy_within)(void* to, const void* from, std::size_t bytes);
    void (*zero)(void* address, std::size_t bytes);
    void (*wait)();
};

namespace cuda {
extern const DeviceFunctions device_functions;
}
namespace simt {
extern const DeviceFunctions device_functions;
}

/// Throws GpuError when this program was built without the device.
const DeviceFunctions& functions_of(Device device);

}  // namespace locus

#ifdef LOCUS_TARGET  // for kernels
namespace locus::LOCUS_TARGET {

/// Memory for partial sums, kept between calls; it grows and never shrinks. Its contents are anybody's after the next call.
void* scratch(std::size_t bytes);

/// Where kernels note a Fault.
int* faults();

#ifdef __CUDACC__
void* stream();
/// Lets `kernel` have more than 48 KB of shared memory where it needs it.
void allow_shared_memory(const char* op, const void* kernel, std::size_t bytes);
/// Throws GpuError when the last launch was refused. With LOCUS_GPU_WAIT=1 in the environment it waits for each kernel, so that the one that
/// failed is named.
void check_launch(const char* op, unsigned grid_x, unsigned grid_y, unsigned threads, std::size_t shared_bytes);
#endif

}  // namespace locus::LOCUS_TARGET
#endif
