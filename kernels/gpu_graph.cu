// What device_graph.h records, as a CUDA graph: a list of kernels and copies with their arguments, which the device is given in one piece.
//
//   record     the program's work runs with the stream in capture: its launches and copies become nodes of a new graph, in their order
//   update     an executable of an earlier time with the same kernels takes over the new nodes' arguments (cheap); where there is none, or it refuses, a new one
//              is made of the graph (slow). CUDA would take over kernels, too, but keeps the clusters of blocks that the kernels before had, and does not
//              say so: matrix products of a Hopper GPU are then wrong, or hang. More masked rows may need another product, so a few are kept, by their kernels
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
#include <vector>

#include "kernels/gpu_runtime.h"

#ifdef __CUDACC__
#include <cudaTypedefs.h>
#endif

namespace locus::LOCUS_TARGET {
namespace {

constexpr std::size_t most_executables = 8;  // of each turn

// What an update must leave as it is: the kernel of a node, how many of its blocks make a cluster, or what else the node is.
struct NodeForm {
    int type = 0;
    const void *function = nullptr, *kernel = nullptr;  // one of them is there
    std::array<unsigned, 3> cluster{};

    auto operator<=>(const NodeForm&) const = default;
};
using GraphForm = std::vector<NodeForm>;
using Executables = std::map<GraphForm, cudaGraphExec_t>;

void destroy_all(Executables& executables) {
    for (const auto& [form, executable] : executables) cudaGraphExecDestroy(executable);
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

#ifdef __CUDACC__

// The driver's function: the runtime's knows no kernels but those of this program, and cuBLASLt brings its own.
CUDA_KERNEL_NODE_PARAMS parameters_of(cudaGraphNode_t node) {
    static const auto ask_driver = [] {
        constexpr unsigned since = 12000;
        void* address = nullptr;
        cudaDriverEntryPointQueryResult found{};
        check_runtime(
            cudaGetDriverEntryPointByVersion("cuGraphKernelNodeGetParams", &address, since, cudaEnableDefault, &found),
            "a function of the driver");
        if (address == nullptr) throw GpuError("the driver is too old to record steps; LOCUS_GPU_WAIT=1 does without");
        return reinterpret_cast<PFN_cuGraphKernelNodeGetParams_v12000>(address);
    }();
    CUDA_KERNEL_NODE_PARAMS parameters{};
    if (ask_driver(node, &parameters) != CUDA_SUCCESS)
        throw GpuError("the driver does not tell what was recorded; LOCUS_GPU_WAIT=1 does without recording");
    return parameters;
}

NodeForm form_of(cudaGraphNode_t node) {
    cudaGraphNodeType type{};
    check_runtime(cudaGraphNodeGetType(node, &type), "the type of what was recorded");
    if (type != cudaGraphNodeTypeKernel) return {.type = static_cast<int>(type)};
    const CUDA_KERNEL_NODE_PARAMS parameters = parameters_of(node);
    cudaKernelNodeAttrValue cluster{};
    if (cudaGraphKernelNodeGetAttribute(node, cudaLaunchAttributeClusterDimension, &cluster) != cudaSuccess)
        cudaGetLastError();  // a GPU that has no clusters
    return {.type = static_cast<int>(type),
            .function = parameters.func,
            .kernel = parameters.kern,
            .cluster = {cluster.clusterDim.x, cluster.clusterDim.y, cluster.clusterDim.z}};
}

#else
NodeForm form_of(const cudaGraphNode*) { return {}; }
#endif

GraphForm form_of(const Graph& graph) {
    std::size_t count = 0;
    check_runtime(cudaGraphGetNodes(graph.get(), nullptr, &count), "counting what was recorded");
    std::vector<cudaGraphNode_t> nodes(count);
    check_runtime(cudaGraphGetNodes(graph.get(), nodes.data(), &count), "what was recorded");
    GraphForm form;
    form.reserve(count);
    for (cudaGraphNode_t node : nodes) form.push_back(form_of(node));
    return form;
}

cudaGraphExec_t executable_of(const Graph& graph, Executables& kept_ones) {
    const GraphForm form = form_of(graph);
    if (const auto kept = kept_ones.find(form); kept != kept_ones.end()) {
        cudaGraphExecUpdateResultInfo why{};
        if (cudaGraphExecUpdate(kept->second, graph.get(), &why) == cudaSuccess) return kept->second;
        cudaGetLastError();  // or the next launch would be blamed
        cudaGraphExecDestroy(kept->second);
        kept_ones.erase(kept);
    }
    if (kept_ones.size() == most_executables) destroy_all(kept_ones);
    cudaGraphExec_t made = nullptr;
    check_runtime(cudaGraphInstantiateWithFlags(&made, graph.get(), 0), "making a recording executable");
    return kept_ones[form] = made;
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
