// What device_graph.h records, as a CUDA graph: a list of kernels and copies with their arguments, which the device is given in one piece.
//
//   record     the program's work runs with the stream in capture: its launches and copies become nodes of a new graph, in their order
//   update     an executable of the last time takes over the new nodes' arguments (cheap). Where other kernels stand (more masked rows may need another matrix
//              product) it refuses, and a new one is made of the graph (slow). A few executables are kept, by their number of nodes
//   launch     one call; the host is free while the device works
//
// Capture is relaxed: memory that a step asks for while it is recorded is had at once, only what happens on the stream is recorded.
//
// Only a GPU can show that cuBLASLt's products can be captured, how often an update is refused, and the time that all this saves.

#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "kernels/gpu_runtime.h"

namespace locus::LOCUS_TARGET {
namespace {

constexpr std::size_t most_executables = 8;

struct Recorder {
    std::map<std::size_t, cudaGraphExec_t> executables;  // by number of nodes

    ~Recorder() { forget_all(); }
    void forget_all() {
        for (const auto& [nodes, executable] : executables) cudaGraphExecDestroy(executable);
        executables.clear();
    }
};

struct DestroyGraph {
    void operator()(cudaGraph_t graph) const { cudaGraphDestroy(graph); }
};
using Graph = std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, DestroyGraph>;

bool recording = false;

Graph end_recording(const char* what) {
    recording = false;
    cudaGraph_t graph = nullptr;
    const cudaError_t error = cudaStreamEndCapture(the_stream(), &graph);
    Graph owner(graph);
    if (what != nullptr) check_runtime(error, what);
    return owner;
}

Graph record(const std::function<void()>& work) {
    check_runtime(cudaStreamBeginCapture(the_stream(), cudaStreamCaptureModeRelaxed), "recording");
    recording = true;
    try {
        work();
    } catch (...) {
        end_recording(nullptr);  // the recording is given up, with whatever is wrong with it
        cudaGetLastError();
        throw;
    }
    return end_recording("the end of a recording");
}

cudaGraphExec_t executable_of(const Graph& graph, Recorder& recorder) {
    std::size_t nodes = 0;
    check_runtime(cudaGraphGetNodes(graph.get(), nullptr, &nodes), "counting what was recorded");
    if (const auto kept = recorder.executables.find(nodes); kept != recorder.executables.end()) {
        cudaGraphExecUpdateResultInfo why{};
        if (cudaGraphExecUpdate(kept->second, graph.get(), &why) == cudaSuccess) return kept->second;
        cudaGetLastError();  // or the next launch would be blamed
        cudaGraphExecDestroy(kept->second);
        recorder.executables.erase(kept);
    }
    if (recorder.executables.size() == most_executables) recorder.forget_all();
    cudaGraphExec_t made = nullptr;
    check_runtime(cudaGraphInstantiateWithFlags(&made, graph.get(), 0), "making a recording executable");
    return recorder.executables[nodes] = made;
}

}  // namespace

bool is_recording() { return recording; }

void check_not_recording(const char* what) {
    if (!recording) return;
    throw GpuError(std::string(what) + " while a graph is being recorded: nothing of it has run yet");
}

bool waits_for_each_kernel() {
    const char* const wish = std::getenv("LOCUS_GPU_WAIT");
    return wish != nullptr && std::string(wish) == "1";
}

void* make_graph() { return new Recorder; }
void release_graph(void* graph) { delete static_cast<Recorder*>(graph); }

void run_graph(void* graph, const std::function<void()>& work) {
    check_not_recording("recording another graph");
    if (waits_for_each_kernel()) return work();
    faults();  // makes the word: filling it with zeros must not be part of a recording that may be given up
    change_staging_area();
    const Graph recorded = record(work);
    check_runtime(cudaGraphLaunch(executable_of(recorded, *static_cast<Recorder*>(graph)), the_stream()),
                  "running what was recorded");
}

}  // namespace locus::LOCUS_TARGET
