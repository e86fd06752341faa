#pragma once
// Where tensors can lie besides the processor's memory, and how numbers get there and back.

#include <cstddef>
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
/// Bytes of the device's memory that this program has now, in use or kept for the next step; without what the maker's libraries take. 0 for the processor.
std::size_t allocated_bytes(Device device);

/// Copies from any device to any other. Both contiguous, of one shape and dtype. Numbers that come to the processor are there when it returns; on their
/// way to a device, `from` may be changed again when it returns. Throws what wait_for() throws.
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

/// Waits until everything that was launched is done. Throws GpuError when the device failed, and std::out_of_range when a kernel met an id, a
/// target or a position out of range.
void wait_for(Device device);

}  // namespace locus
