#pragma once
// Many launches as one: what a piece of work asks of a device is recorded first and then handed over in one piece.
//
//     DeviceGraph step(device);
//     for (...) step.run([&] { forward(); backward(); update(); });
//
// The work's own code runs each time, so arguments, addresses and shapes may differ from one time to the next. While it runs, the device does nothing of it:
// what waits for the device (copies to the processor, wait_for()) throws GpuError.

#include <functional>
#include <memory>

#include "kernels/tensor.h"

namespace locus {

class DeviceGraph {
public:
    explicit DeviceGraph(Device device);

    /// Calls `work`, then queues what it has launched. An exception out of `work` gives it up: the device then does nothing of it. On the processor, and with
    /// LOCUS_GPU_WAIT=1 (gpu_memory.h), nothing is recorded: `work` is only called. Throws GpuError, also for a recording within a recording.
    void run(const std::function<void()>& work);

private:
    struct Release {
        Device device;
        void operator()(void* graph) const;
    };
    std::unique_ptr<void, Release> graph_;  // on a GPU only
};

}  // namespace locus
