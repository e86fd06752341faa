// What device_graph.h records, as a CUDA graph: a list of kernels and copies with their arguments, which the device is given in one piece.
//
//   record     the program's work runs with the stream in capture: its launches and copies become nodes of a new graph, in their order
//   update     an executable of an earlier time takes over the new nodes' kernels and arguments (cheap). What it cannot take over (another number of nodes, a
//              matrix product whose blocks work in clusters where those before did not) it refuses, and a new one is made of the graph (slow). A few
//              executables are kept, by their number of nodes
//   turns      there are two sets of them: while the device is at one of this turn's, those of the other turn are changed. CUDA says of a single node's update
//              that it leaves launches that are queued alone; of the update of a whole graph it says nothing
//   launch     one call; the host is free while the device works
//
// Capture is relaxed: memory that a step asks for while it is recorded is had at once, only what happens on the stream is recorded.
//
// Only a GPU can show that cuBLASLt's products can be captured, how often an update is refused, and the time that all this saves.

#include <array>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "kernels/gpu_runtime.h"

namespace locus::LOCUS_TARGET {
namespace {

constexpr std::size_t most_executables = 4;  // of each turn

using Executables = std::map<std::size_t, cudaGraphExec_t>;  // by number of nodes

void destroy_all(Executables& executables) {
    for (const auto& [nodes, executable] : executables) cudaGraphExecDestroy(executable);
    executables.clear();
}

struct Recorder {
    std::array<Executables, 2> of_turn;
    std::size_t turn = 0;

    ~Recorder() {
        cudaStreamSynchronize(
            the_stream());  // the last two may be at work; an error is reported to whoever waits for their results
        for (Executables& executables : of_turn) destroy_all(executables);
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

cudaGraphExec_t executable_of(const Graph& graph, Executables& kept_ones) {
    std::size_t nodes = 0;
    check_runtime(cudaGraphGetNodes(graph.get(), nullptr, &nodes), "counting what was recorded");
    if (const auto kept = kept_ones.find(nodes); kept != kept_ones.end()) {
        cudaGraphExecUpdateResultInfo why{};
        if (cudaGraphExecUpdate(kept->second, graph.get(), &why) == cudaSuccess) return kept->second;
        cudaGetLastError();  // or the next launch would be blamed
        cudaGraphExecDestroy(kept->second);
        kept_ones.erase(kept);
    }
    if (kept_ones.size() == most_executables) destroy_all(kept_ones);
    cudaGraphExec_t made = nullptr;
    check_runtime(cudaGraphInstantiateWithFlags(&made, graph.get(), 0), "making a recording executable");
    return kept_ones[nodes] = made;
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
    change_staging_area();  // waits for the graph before the last, so for the last of this turn
    const Graph recorded = record(work);
    Recorder& recorder = *static_cast<Recorder*>(graph);
    recorder.turn = 1 - recorder.turn;
    check_runtime(cudaGraphLaunch(executable_of(recorded, recorder.of_turn.at(recorder.turn)), the_stream()),
                  "running what was recorded");
}

}  // namespace locus::LOCUS_TARGET
