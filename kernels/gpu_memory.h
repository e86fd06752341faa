#pragma once
// Memory, copies and errors of one GPU: the thin layer between device.h, gpu.h and CUDA's runtime. Everything is queued in one stream.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "kernels/device.h"

namespace locus {

/// What a kernel can find wrong with the numbers it was given; the largest that was raised is reported.
enum class Fault : std::uint8_t { none, embedding_id, target, gather_index, rotary_position, product_row };

/// What a device has to be able to do. Sizes in bytes; what each throws: device.h.
struct DeviceFunctions {
    std::string (*why_unavailable)();
    std::string (*description)();
    int (*compute_capability)();
    void* (*allocate)(std::size_t bytes);  // throws std::bad_alloc
    void* (*allocate_shared)(
        std::size_t bytes);  // the same, and the processor can read and write it while no kernel runs: for tests
    void (*release)(void* address);
    std::size_t (*allocated)();  // bytes that allocate() gave and release() has not taken back
    void (*copy_in)(void* to, const void* from, std::size_t bytes);
    void (*copy_out)(void* to, const void* from, std::size_t bytes);  // waits
    void (*copy_within)(void* to, const void* from, std::size_t bytes);
    void (*copy_out_later)(void* to, const void* from, std::size_t bytes);  // to pinned memory
    void (*zero)(void* address, std::size_t bytes);
    void (*wait)();
    void* (*allocate_pinned)(std::size_t bytes);
    void (*release_pinned)(void* address);
    void* (*make_point)();  // these four: DevicePoint of device.h
    void (*set_point)(void* point);
    void (*wait_for_point)(void* point);
    void (*release_point)(void* point);
    void* (*make_graph)();  // these three: DeviceGraph of device_graph.h
    void (*run_graph)(void* graph, const std::function<void()>& work);
    void (*release_graph)(void* graph);
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

/// Memory for partial sums, kept between calls; it grows and never shrinks. Its contents are anybody's after the next call. What it has outgrown stays
/// until the next wait: kernels that are queued or recorded still use it.
void* scratch(std::size_t bytes);

/// Where kernels note a Fault.
int* faults();

/// Of shared memory, that a block can have.
std::size_t most_shared_bytes();

struct Launch;
#ifdef __CUDACC__
void* stream();
/// Lets `kernel` have more than 48 KB of shared memory where it needs it.
void allow_shared_memory(const Launch& how, const void* kernel);
#endif
/// Throws GpuError when the last launch, which was this one, was refused. With LOCUS_GPU_WAIT=1 in the environment it waits for each kernel, so that the one that
/// failed is named, and so do copies and fillings; then no graph is recorded (device_graph.h).
void check_launch(const Launch& how);

}  // namespace locus::LOCUS_TARGET
#endif
