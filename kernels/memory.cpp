#include "kernels/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <new>
#include <utility>

#include "kernels/gpu_memory.h"

namespace locus {
namespace {

constexpr std::size_t device_alignment = 256;
constexpr std::size_t huge_page = std::size_t{2} << 20U;
constexpr std::size_t most_slab_bytes = 32 * huge_page;    // unless a single block is larger
constexpr std::size_t most_bytes = std::size_t{1} << 52U;  // far beyond any machine, far below where sums wrap

std::size_t round_up(std::size_t bytes, std::size_t unit) { return (bytes + unit - 1) / unit * unit; }

// Eight classes per power of two: 64, 72, 80, ... 128, 144, ... The index counts them from 64 bytes.
struct SizeClass {
    std::size_t index;
    std::size_t bytes;
};

SizeClass size_class(std::size_t bytes) {
    bytes = std::max<std::size_t>(bytes, 64);
    const std::size_t unit = std::bit_floor(bytes) / 8;
    const std::size_t rounded = round_up(bytes, unit);
    const std::size_t power = static_cast<std::size_t>(std::bit_width(rounded)) - 1;
    return {(power - 6) * 8 + (rounded >> (power - 3)) - 8, rounded};
}

}  // namespace

Buffer::Buffer(std::size_t bytes, Device device) : bytes_(bytes), device_(device) {
    if (bytes == 0) return;
    if (bytes > most_bytes) throw std::bad_alloc();
    if (device != Device::cpu) {
        bytes_ = round_up(bytes, device_alignment);
        data_ = functions_of(device).allocate(bytes_);
        functions_of(device).zero(data_, bytes_);
        return;
    }
    // Anonymous maps are zero-filled. A large one is over-reserved by a huge page so that the start can be aligned.
    const std::size_t length = bytes_ = round_up(bytes, bytes >= huge_page ? huge_page : 4096);
    void* map = mmap(nullptr, length + huge_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) throw std::bad_alloc();
    char* const begin = static_cast<char*>(map);
    char* const aligned = begin + (huge_page - reinterpret_cast<std::uintptr_t>(begin) % huge_page) % huge_page;
    if (aligned > begin) munmap(begin, static_cast<std::size_t>(aligned - begin));
    char* const end = begin + length + huge_page;
    if (end > aligned + length) munmap(aligned + length, static_cast<std::size_t>(end - aligned - length));
    if (length >= huge_page) madvise(aligned, length, MADV_HUGEPAGE);  // advice: small pages work too
    data_ = aligned;
}

Buffer::~Buffer() {
    if (data_ == nullptr) return;
    if (device_ == Device::cpu) {
        munmap(data_, bytes_);
    } else {
        functions_of(device_).release(data_);
    }
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)), device_(other.device_) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(device_, other.device_);
    return *this;
}

// Stands in the 64 bytes before each block; those of a GPU's blocks stand apart.
struct alignas(64) Arena::Header {
    std::size_t class_index;
    std::size_t bytes;
    void* block;
    void* link;  // the owner's
};

Arena::Arena(Device device) : device_(device), host_(device == Device::cpu ? nullptr : std::make_unique<Arena>()) {}
Arena::~Arena() = default;

Arena::Header* Arena::header_of(void* block) {
    return device_ == Device::cpu ? static_cast<Header*>(block) - 1 : device_headers_.at(block).get();
}

void*& Arena::link(void* block) { return header_of(block)->link; }

std::size_t Arena::size_of_block(void* block) { return header_of(block)->bytes; }

char* Arena::carve(std::size_t bytes) {
    if (static_cast<std::size_t>(slab_end_ - slab_begin_) >= bytes)
        return std::exchange(slab_begin_, slab_begin_ + bytes);
    // Slabs grow with the arena, so that large blocks share them: in a slab of its own a block of 4 MB and 64 bytes would occupy three 2 MB pages.
    // What is left of a slab was never touched and takes no memory.
    slabs_.emplace_back(std::max(bytes, std::clamp(reserved_, huge_page, most_slab_bytes)), device_);
    const Buffer& slab = slabs_.back();
    reserved_ += slab.bytes();
    char* const data = static_cast<char*>(slab.data());
    slab_begin_ = data + bytes;
    slab_end_ = data + slab.bytes();
    return data;
}

Arena::Header* Arena::new_block(std::size_t class_index, std::size_t bytes) {
    Header* header = nullptr;
    if (device_ == Device::cpu) {
        header = reinterpret_cast<Header*>(carve(round_up(sizeof(Header) + bytes, 64)));
        *header = {class_index, bytes, header + 1, nullptr};
    } else {
        void* const block = carve(round_up(bytes, device_alignment));
        header = (device_headers_[block] = std::make_unique<Header>(Header{class_index, bytes, block, nullptr})).get();
    }
    ++blocks_[class_index];
    free_.at(class_index).reserve(blocks_[class_index]);  // so that giving back never allocates
    return header;
}

void* Arena::take(std::size_t bytes) {
    if (bytes > std::size_t{1} << 47U) throw std::bad_alloc();  // more than an address space; its class would not exist
    const SizeClass wanted = size_class(bytes);
    Header* header = nullptr;
    // A block up to half as large again serves too: the number of masked rows differs a little from step to step.
    for (std::size_t index = wanted.index; index <= wanted.index + 4 && index < classes && header == nullptr; ++index) {
        if (free_[index].empty()) continue;
        header = free_[index].back();
        free_[index].pop_back();
    }
    if (header == nullptr) header = new_block(wanted.index, wanted.bytes);
    used_ += header->bytes;
    peak_ = std::max(peak_, used_);
    return header->block;
}

void Arena::give_back(void* block) {
    Header* const header = header_of(block);
    used_ -= header->bytes;
    free_[header->class_index].push_back(header);
}

Tensor Arena::tensor(Shape shape, DType dtype) {
    return Tensor(take(static_cast<std::size_t>(shape.count() * size_of(dtype))), shape, dtype, device_);
}

}  // namespace locus
