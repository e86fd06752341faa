#pragma once
// Where tensors can lie besides the processor's memory, and how numbers get there and back.

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>

#include "kernels/memory.h"
#include "kernels/tensor.h"

namespace locus {

/// What went wrong on a GPU or in talking to it.
struct GpuError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Whether tensors may lie there: this program was built for it, and such a device is present.
bool is_available(Device device);
/// Why not, and what helps; empty when it is available.
std::string why_unavailable(Device device);
/// Name and memory of the device as its maker calls it, for logs: "NVIDIA H200, 139 GiB, compute capability 9.0".
std::string description_of(Device device);
/// Compute capability of a GPU times ten: 75 for 7.5. simt has all that kernels ask for. Throws GpuError.
int compute_capability_of(Device device);
/// Bytes of the device's memory that this program has now, in use or kept for the next step; without what the maker's libraries take. 0 for the processor.
std::size_t allocated_bytes(Device device);

/// Copies from any device to any other. Both contiguous, of one shape and dtype. Numbers that come to the processor are there when it returns, which waits
/// for the device and throws what wait_for() throws; on their way to a device nobody waits, and `from` may be changed again when it returns.
void copy(const Tensor& from, const Tensor& to);
/// Fills a contiguous tensor with zero bytes.
void fill_zeros(const Tensor& tensor);

/// The numbers of a contiguous tensor in the processor's memory: the tensor itself if it lies there, else a copy.
class HostCopy {
public:
    explicit HostCopy(const Tensor& tensor);
    const Tensor& tensor() const { return tensor_; }

private:
    Buffer memory_;
    Tensor tensor_;
};

/// Waits until everything that was launched is done. Throws GpuError when the device failed or a graph is being recorded (device_graph.h), and
/// std::out_of_range when a kernel met an id, a target or a position out of range.
void wait_for(Device device);

/// A point in what a device was asked to do: whoever waits for it does not wait for what was asked later.
class DevicePoint {
public:
    /// On the processor nothing is ever waited for.
    explicit DevicePoint(Device device);

    /// Everything launched so far lies before it. Throws GpuError while a graph is being recorded.
    void set();
    /// Waits until the device has passed it. Throws what wait_for() throws, for the kernels between the point set before this one and this one.
    void wait();

private:
    struct Release {
        Device device;
        void operator()(void* point) const;
    };
    std::unique_ptr<void, Release> point_;  // on a GPU only
};

/// A copy in the processor's memory for which nobody waits: the loss of a step, read when the next step is at work already.
class DeferredCopy {
public:
    /// Queues the copy of a contiguous tensor; what was asked for before is gone.
    void ask(const Tensor& tensor);
    /// The numbers: there once a DevicePoint set behind ask() was waited for; those of the processor at once.
    const Tensor& tensor() const { return tensor_; }

private:
    struct Release {
        Device device;
        void operator()(void* memory) const;
    };
    std::unique_ptr<void, Release> memory_{nullptr, {Device::cpu}};
    std::size_t room_ = 0;  // bytes
    Tensor tensor_;
};

}  // namespace locus
