#include "kernels/device_graph.h"

#include "kernels/gpu_memory.h"

namespace locus {

DeviceGraph::DeviceGraph(Device device)
    : graph_(device == Device::cpu ? nullptr : functions_of(device).make_graph(), {device}) {}

void DeviceGraph::Release::operator()(void* graph) const { functions_of(device).release_graph(graph); }

void DeviceGraph::run(const std::function<void()>& work) {
    if (graph_ == nullptr) return work();
    functions_of(graph_.get_deleter().device).run_graph(graph_.get(), work);
}

}  // namespace locus
