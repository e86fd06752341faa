#pragma once
// The part of CUDA's runtime that Locus calls, for an ordinary C++ compiler: memory, copies, the stream, events, graphs. kernels/gpu.h includes this file
// beside simt.h.
//
//     memory     of the device: pages that can be touched only while the stream works. The program that reads them by mistake crashes here as it would with a GPU
//     stream     what is queued runs at once, in the program's own time, as long as nothing waits before it. A graph that is launched does wait, with
//                everything behind it, until somebody asks for it by an event or for all of it: as late as a GPU could be. So tests see who reads results too
//                early, and who changes what a copy has not read yet
//     graph      a list of what was launched while the stream was in capture; arguments by value

#include <cstddef>
#include <cstdint>
#include <functional>

namespace locus::simt {

/// Queues `work`, which may touch device memory: a kernel, a copy, what stands in for a library's kernels. It outlives its caller's variables.
void with_device_memory(std::function<void()> work);

// NOLINTBEGIN(readability-identifier-naming): they are CUDA's
enum cudaError_t : std::uint16_t {
    cudaSuccess = 0,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorStreamCaptureUnsupported = 900,
    cudaErrorGraphExecUpdateFailure = 910
};
enum cudaMemcpyKind : std::uint8_t { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
enum cudaStreamCaptureMode : std::uint8_t { cudaStreamCaptureModeRelaxed };
enum cudaDeviceAttr : std::uint8_t { cudaDevAttrMaxSharedMemoryPerBlockOptin = 97 };
constexpr unsigned cudaHostAllocDefault = 0, cudaEventDisableTiming = 2;
using cudaStream_t = int;
using cudaEvent_t = struct SimtEvent*;
using cudaGraph_t = struct SimtGraph*;
using cudaGraphExec_t = struct SimtGraph*;
struct cudaGraphNode;
using cudaGraphNode_t = cudaGraphNode*;
struct cudaGraphExecUpdateResultInfo {};

cudaError_t cudaGetDevice(int* device);
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device);

/// Of the launches since the last call: what a GPU would have refused is not run. Kernels are limited as on every GPU, but for shared memory: set_most_shared_bytes
/// of simt.h.
cudaError_t cudaGetLastError();
void set_last_error(cudaError_t error);
const char* cudaGetErrorString(cudaError_t error);

cudaError_t cudaStreamSynchronize(cudaStream_t stream);

cudaError_t cudaMalloc(void** address, std::size_t bytes);
cudaError_t cudaMallocManaged(void** address, std::size_t bytes);  // for everyone
cudaError_t cudaFree(void* address);
cudaError_t cudaHostAlloc(void** address, std::size_t bytes, unsigned flags);
cudaError_t cudaFreeHost(void* address);
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* to, int byte, std::size_t bytes, cudaStream_t stream);

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventDestroy(cudaEvent_t event);

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count);  // counts only
cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t executable, cudaGraph_t graph, cudaGraphExecUpdateResultInfo* why);
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
// NOLINTEND(readability-identifier-naming)

}  // namespace locus::simt
