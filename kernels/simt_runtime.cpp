#include "kernels/simt_runtime.h"

#include <sys/mman.h>

#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

namespace locus::simt {

struct SimtEvent {
    std::uint64_t behind = 0;  // so many pieces of work
};

struct SimtGraph {
    std::vector<std::function<void()>> work;
};

namespace {

std::recursive_mutex& one_at_a_time() {
    static std::recursive_mutex only;
    return only;
}
using Lock = std::lock_guard<std::recursive_mutex>;

// ---- device memory: pages that can be touched while the stream works ----

struct DeviceMemory {
    std::map<void*, std::size_t> pages;          // address, bytes
    std::map<void*, std::vector<char>> managed;  // what the program may touch too: where a sanitizer sees its ends
};

DeviceMemory& device_memory() {
    static DeviceMemory only;
    return only;
}

// Opens device memory for its lifetime.
class Opened {
public:
    Opened() { protect(PROT_READ | PROT_WRITE); }
    ~Opened() { protect(PROT_NONE); }
    Opened(const Opened&) = delete;
    Opened& operator=(const Opened&) = delete;

private:
    static void protect(int what) {
        for (const auto& [address, bytes] : device_memory().pages) mprotect(address, bytes, what);
    }
};

// ---- the stream ----

struct Stream {
    std::deque<std::function<void()>> queue;
    std::uint64_t queued = 0, ran = 0;  // pieces of work, ever
    bool in_capture = false;
    SimtGraph captured;
    cudaError_t last_error = cudaSuccess;
};

Stream& stream() {
    static Stream only;
    return only;
}

void work_off(std::uint64_t until) {
    if (stream().ran >= until) return;
    const Opened opened;
    while (stream().ran < until) {
        const std::function<void()> work = std::move(stream().queue.front());
        stream().queue.pop_front();
        ++stream().ran;
        work();
    }
}

void queue(std::function<void()> work) {
    stream().queue.push_back(std::move(work));
    ++stream().queued;
}

}  // namespace

void with_device_memory(std::function<void()> work) {
    const Lock lock(one_at_a_time());
    if (stream().in_capture) {
        stream().captured.work.push_back(std::move(work));
        return;
    }
    const bool others_wait = !stream().queue.empty();
    queue(std::move(work));
    if (!others_wait) work_off(stream().queued);
}

void set_last_error(cudaError_t error) { stream().last_error = error; }
cudaError_t cudaGetLastError() { return std::exchange(stream().last_error, cudaSuccess); }

const char* cudaGetErrorString(cudaError_t error) {
    switch (error) {
        case cudaSuccess: return "no error";
        case cudaErrorMemoryAllocation: return "out of memory";
        case cudaErrorInvalidConfiguration: return "invalid configuration argument";
        case cudaErrorStreamCaptureUnsupported: return "operation not permitted when stream is capturing";
        case cudaErrorGraphExecUpdateFailure: return "the graph update was not performed";
    }
    return "?";
}

cudaError_t cudaStreamSynchronize(cudaStream_t) {
    const Lock lock(one_at_a_time());
    if (stream().in_capture) return cudaErrorStreamCaptureUnsupported;
    work_off(stream().queued);
    return cudaSuccess;
}

cudaError_t cudaMalloc(void** address, std::size_t bytes) {
    const Lock lock(one_at_a_time());
    void* const pages = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) return cudaErrorMemoryAllocation;
    device_memory().pages.emplace(pages, bytes);
    *address = pages;
    return cudaSuccess;
}

cudaError_t cudaMallocManaged(void** address, std::size_t bytes) {
    const Lock lock(one_at_a_time());
    std::vector<char> memory(bytes);
    *address = memory.data();
    device_memory().managed.emplace(*address, std::move(memory));
    return cudaSuccess;
}

cudaError_t cudaFree(void* address) {
    const Lock lock(one_at_a_time());
    work_off(stream().queued);  // it may be in use
    if (device_memory().managed.erase(address) > 0) return cudaSuccess;
    const auto found = device_memory().pages.find(address);
    if (found == device_memory().pages.end()) throw std::logic_error("cudaFree of what cudaMalloc did not return");
    munmap(found->first, found->second);
    device_memory().pages.erase(found);
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** address, std::size_t bytes, unsigned /*flags*/) {
    *address = ::operator new(bytes, std::nothrow);
    return *address == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
}

cudaError_t cudaFreeHost(void* address) {
    const Lock lock(one_at_a_time());
    work_off(stream().queued);
    ::operator delete(address);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t) {
    with_device_memory([=] { std::memcpy(to, from, bytes); });
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* to, int byte, std::size_t bytes, cudaStream_t) {
    with_device_memory([=] { std::memset(to, byte, bytes); });
    return cudaSuccess;
}

// ---- events ----

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned /*flags*/) {
    *event = new SimtEvent;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
    const Lock lock(one_at_a_time());
    if (stream().in_capture) return cudaErrorStreamCaptureUnsupported;
    event->behind = stream().queued;
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    const Lock lock(one_at_a_time());
    work_off(event->behind);
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    delete event;
    return cudaSuccess;
}

// ---- graphs ----

cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode) {
    const Lock lock(one_at_a_time());
    if (std::exchange(stream().in_capture, true)) return cudaErrorStreamCaptureUnsupported;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t* graph) {
    const Lock lock(one_at_a_time());
    stream().in_capture = false;
    *graph = new SimtGraph(std::exchange(stream().captured, {}));
    return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* /*nodes*/, std::size_t* count) {
    *count = graph->work.size();
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
    *executable = new SimtGraph(*graph);
    return cudaSuccess;
}

// As many pieces of work are taken for the same ones.
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t executable, cudaGraph_t graph, cudaGraphExecUpdateResultInfo*) {
    if (executable->work.size() != graph->work.size()) return cudaErrorGraphExecUpdateFailure;
    executable->work = graph->work;
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t) {
    const Lock lock(one_at_a_time());
    for (const std::function<void()>& work : executable->work) queue(work);
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
    delete executable;
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    return cudaSuccess;
}

}  // namespace locus::simt
