#include "kernels/device.h"

#include <bit>
#include <cstring>
#include <new>

#include "kernels/gpu_memory.h"

namespace locus {
namespace {

// nullptr: the processor, or what this program was built without.
const DeviceFunctions* functions_or_null(Device device) {
#ifdef LOCUS_HAS_CUDA
    if (device == Device::cuda) return &cuda::device_functions;
#endif
#ifdef LOCUS_HAS_SIMT
    if (device == Device::simt) return &simt::device_functions;
#endif
    (void)device;
    return nullptr;
}

}  // namespace

std::string why_unavailable(Device device) {
    if (device == Device::cpu) return "";
    if (const DeviceFunctions* functions = functions_or_null(device)) return functions->why_unavailable();
    if (device == Device::cuda) return "this program was built without CUDA; `cmake --preset cuda` builds one with it";
    return "this program was built without it; -DLOCUS_SIMT=ON builds one with it";
}

bool is_available(Device device) { return why_unavailable(device).empty(); }

const DeviceFunctions& functions_of(Device device) {
    if (const DeviceFunctions* functions = functions_or_null(device)) return *functions;
    throw GpuError(std::string("device ") + name_of(device) + ": " + why_unavailable(device));
}

std::string description_of(Device device) {
    return device == Device::cpu ? "the processor" : functions_of(device).description();
}

int compute_capability_of(Device device) { return functions_of(device).compute_capability(); }

std::size_t allocated_bytes(Device device) { return device == Device::cpu ? 0 : functions_of(device).allocated(); }

void copy(const Tensor& from, const Tensor& to) {
    LOCUS_CHECK(from.shape == to.shape && from.dtype == to.dtype && from.is_contiguous() && to.is_contiguous(), "copy",
                from.shape.to_string() + " " + name_of(from.dtype) + " to " + to.shape.to_string() + " " +
                    name_of(to.dtype) + ": both have to be contiguous and alike");
    const auto bytes = static_cast<std::size_t>(from.bytes());
    if (bytes == 0) return;
    if (from.device == Device::cpu && to.device == Device::cpu) {
        std::memmove(to.data, from.data, bytes);
    } else if (from.device == to.device) {
        functions_of(to.device).copy_within(to.data, from.data, bytes);
    } else if (to.device == Device::cpu) {
        functions_of(from.device).copy_out(to.data, from.data, bytes);
    } else {
        LOCUS_CHECK(from.device == Device::cpu, "copy", "from one kind of GPU to another");
        functions_of(to.device).copy_in(to.data, from.data, bytes);
    }
}

void fill_zeros(const Tensor& tensor) {
    LOCUS_CHECK(tensor.is_contiguous(), "fill_zeros", "the tensor is not contiguous");
    const auto bytes = static_cast<std::size_t>(tensor.bytes());
    if (bytes == 0) return;
    if (tensor.device == Device::cpu) {
        std::memset(tensor.data, 0, bytes);
    } else {
        functions_of(tensor.device).zero(tensor.data, bytes);
    }
}

HostCopy::HostCopy(const Tensor& tensor) : tensor_(tensor) {
    if (tensor.device == Device::cpu) return;
    memory_ = Buffer(static_cast<std::size_t>(tensor.bytes()));
    tensor_ = Tensor(memory_.data(), tensor.shape, tensor.dtype);
    copy(tensor, tensor_);
}

void wait_for(Device device) {
    if (device != Device::cpu) functions_of(device).wait();
}

DevicePoint::DevicePoint(Device device)
    : point_(device == Device::cpu ? nullptr : functions_of(device).make_point(), {device}) {}

void DevicePoint::Release::operator()(void* point) const { functions_of(device).release_point(point); }

void DevicePoint::set() {
    if (point_ != nullptr) functions_of(point_.get_deleter().device).set_point(point_.get());
}

void DevicePoint::wait() {
    if (point_ != nullptr) functions_of(point_.get_deleter().device).wait_for_point(point_.get());
}

void DeferredCopy::Release::operator()(void* memory) const {
    device == Device::cpu ? ::operator delete(memory) : functions_of(device).release_pinned(memory);
}

void DeferredCopy::ask(const Tensor& tensor) {
    LOCUS_CHECK(tensor.is_contiguous(), "deferred_copy", "the tensor is not contiguous");
    const Device device = tensor.device;
    const auto bytes = static_cast<std::size_t>(tensor.bytes());
    if (bytes > room_ || memory_.get_deleter().device != device) {
        const std::size_t room = std::bit_ceil(bytes);
        memory_ = {device == Device::cpu ? ::operator new(room) : functions_of(device).allocate_pinned(room),
                   Release{device}};
        room_ = room;
    }
    tensor_ = Tensor(memory_.get(), tensor.shape, tensor.dtype);
    if (device == Device::cpu) return copy(tensor, tensor_);
    if (bytes > 0) functions_of(device).copy_out_later(memory_.get(), tensor.data, bytes);
}

}  // namespace locus
