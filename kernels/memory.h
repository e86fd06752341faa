#pragma once
// Memory for tensors. Two kinds, because there are two lifetimes:
//   Buffer   lives as long as the object that owns it: parameters, their gradients, the optimizer's moments
//   Arena    lives for a step: activations, their gradients, scratch. It remembers the blocks of the last step, so that
//            from the second step on nothing is asked of the operating system.
// Fresh pages are slow (4 KB pages are filled at a few GB/s): both ask for 2 MB pages and touch them once.
// Either may be memory of a GPU (device.h), which only kernels and copies can touch.

#include <array>
#include <cstddef>
#include <memory>
#include <unordered_map>
#include <vector>

#include "kernels/tensor.h"

namespace locus {

/// Zero-filled memory, aligned to 2 MB when large and to 64 bytes otherwise, on a GPU to 256. Throws std::bad_alloc, and GpuError when this program
/// does not have the device.
class Buffer {
public:
    Buffer() = default;
    explicit Buffer(std::size_t bytes, Device device = Device::cpu);
    ~Buffer();
    Buffer(Buffer&& other) noexcept;
    Buffer& operator=(Buffer&& other) noexcept;

    void* data() const { return data_; }
    std::size_t bytes() const { return bytes_; }

private:
    void* data_ = nullptr;
    std::size_t bytes_ = 0;
    Device device_ = Device::cpu;
};

/// Blocks of memory that are taken and given back within a step. Sizes are rounded up to classes (eight per power of two,
/// so at most an eighth is wasted); a block given back serves the next request of its class or a slightly smaller one, last in first out while it is still in
/// the cache. The same sequence of requests in the next step finds the same blocks and asks the system for nothing.
class Arena {
public:
    explicit Arena(Device device = Device::cpu);
    ~Arena();
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    Device device() const { return device_; }
    /// The arena for what the processor itself reads and writes in the same step: this one, or on a GPU one beside it.
    Arena& host() { return host_ == nullptr ? *this : *host_; }

    /// An uninitialised block, aligned to 64 bytes, on a GPU to 256. Throws std::bad_alloc.
    void* take(std::size_t bytes);
    /// Gives back a block that take() returned.
    void give_back(void* block);
    /// A word beside a block that take() returned, for whoever has it: a tape makes a list of its blocks with it.
    void*& link(void* block);
    /// Bytes of a block that take() returned: at least what was asked for.
    std::size_t size_of_block(void* block);
    /// An uninitialised contiguous tensor in a block of its own.
    Tensor tensor(Shape shape, DType dtype);

    /// Bytes in use now, the most ever in use, and bytes obtained from the system.
    std::size_t used() const { return used_; }
    std::size_t peak() const { return peak_; }
    std::size_t reserved() const { return reserved_; }
    /// How often the system was asked for memory; constant once the steps repeat.
    std::size_t growths() const { return slabs_.size(); }

private:
    struct Header;
    static constexpr std::size_t classes = std::size_t{8} * 48;

    char* carve(std::size_t bytes);
    Header* new_block(std::size_t class_index, std::size_t bytes);
    Header* header_of(void* block);

    Device device_;
    std::unique_ptr<Arena> host_;                                        // on a GPU only
    std::unordered_map<void*, std::unique_ptr<Header>> device_headers_;  // by block, on a GPU only

    std::vector<Buffer> slabs_;
    std::array<std::vector<Header*>, classes> free_;
    std::array<std::size_t, classes> blocks_{};  // ever made, free or not
    char* slab_begin_ = nullptr;                 // what is left of the newest slab
    char* slab_end_ = nullptr;
    std::size_t used_ = 0, peak_ = 0, reserved_ = 0;
};

}  // namespace locus
