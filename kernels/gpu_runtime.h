#pragma once
// What the sources that talk to CUDA's runtime share: gpu_memory.cu, gpu_staging.cu, gpu_point.cu, gpu_graph.cu.

#include <cstddef>
#include <functional>

#include "kernels/gpu.h"

namespace locus::LOCUS_TARGET {

/// Throws GpuError, naming what was asked for and where, unless `error` is cudaSuccess.
void check_runtime(cudaError_t error, const char* what, const char* file = __builtin_FILE(),
                   int line = __builtin_LINE());
/// The same for a copy or a filling that was queued; with LOCUS_GPU_WAIT=1 waits for it first.
void check_queued(cudaError_t error, const char* what, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE());
/// The one stream in which everything is queued.
cudaStream_t the_stream();
/// Memory of the processor that the device reads and writes by itself, at any time.
void* allocate_pinned(std::size_t bytes);
void release_pinned(void* address);
/// Gives back what scratch() has outgrown. Only when the device has done everything.
void release_outgrown_scratch();

// ---- gpu_staging.cu ----

/// Queues a copy to the device; `from` may be changed at once.
void copy_in(void* to, const void* from, std::size_t bytes);
/// Copies from here on go through the other area of pinned memory; waits until the device has read what was left there.
void change_staging_area();

// ---- gpu_point.cu: DevicePoint of device.h ----

void* make_point();
void set_point(void* point);
void wait_for_point(void* point);
void release_point(void* point);
/// wait_for() of device.h.
void wait();

// ---- gpu_graph.cu: DeviceGraph of device_graph.h ----

void* make_graph();
void run_graph(void* graph, const std::function<void()>& work);
void release_graph(void* graph);
/// Throws GpuError while a graph is being recorded: whoever waits then waits for what has not begun.
void check_not_recording(const char* what);
bool is_recording();
/// LOCUS_GPU_WAIT=1 (gpu_memory.h).
bool waits_for_each_kernel();

}  // namespace locus::LOCUS_TARGET
