// Copies to the device, through pinned memory: the device reads that by itself, while the program goes on and changes or gives back its own.
//
//   area       blocks of pinned memory, filled one after the other. There are two: while the device reads from one, the other is filled
//   event      set behind the last copy out of an area; the area is filled again when the device has passed it
//   recorded   copies read their blocks when the graph runs, so the areas change places before a recording (gpu_graph.cu) and never within: what one graph
//              reads stays until the graph after it is recorded, which waits for it
//   cost       bytes read and written once by the processor, then over the bus, at its full rate as the memory is pinned
//
// Only a GPU can show that copies and kernels overlap, and the rate of the bus.

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "kernels/gpu_runtime.h"

namespace locus::LOCUS_TARGET {
namespace {

constexpr std::size_t block_bytes = std::size_t{4} << 20U;
constexpr std::size_t blocks_per_turn = 4;  // outside of a recording
constexpr std::size_t alignment = 64;

struct Area {
    std::vector<char*> blocks;
    std::size_t block = 0, used = 0;  // the block being filled, and how far
    cudaEvent_t read = nullptr;
};

// Kept until the program ends: CUDA itself may be gone before a static object is.
struct Staging {
    std::array<Area, 2> areas;
    std::size_t filled = 0;
};

Staging& staging() {
    static Staging* const only = [] {
        auto* const made = new Staging;
        for (Area& area : made->areas)
            check_runtime(cudaEventCreateWithFlags(&area.read, cudaEventDisableTiming), "an event");
        return made;
    }();
    return *only;
}

// Room for at most block_bytes.
char* place(std::size_t bytes) {
    Area* area = &staging().areas.at(staging().filled);
    if (area->used + bytes > block_bytes) {
        ++area->block;
        area->used = 0;
    }
    if (area->block >= blocks_per_turn && !is_recording()) {
        change_staging_area();
        area = &staging().areas.at(staging().filled);
    }
    if (area->block == area->blocks.size()) area->blocks.push_back(static_cast<char*>(allocate_pinned(block_bytes)));
    char* const found = area->blocks[area->block] + area->used;
    area->used += (bytes + alignment - 1) / alignment * alignment;
    return found;
}

}  // namespace

void change_staging_area() {
    check_runtime(cudaEventRecord(staging().areas.at(staging().filled).read, the_stream()), "an event");
    staging().filled = 1 - staging().filled;
    Area& next = staging().areas.at(staging().filled);
    check_runtime(cudaEventSynchronize(next.read), "waiting for copies to the GPU");
    next.block = next.used = 0;
}

void copy_in(void* to, const void* from, std::size_t bytes) {
    for (std::size_t done = 0; done < bytes;) {
        const std::size_t piece = std::min(bytes - done, block_bytes);
        char* const here = place(piece);
        std::memcpy(here, static_cast<const char*>(from) + done, piece);
        check_queued(cudaMemcpyAsync(static_cast<char*>(to) + done, here, piece, cudaMemcpyHostToDevice, the_stream()),
                     "a copy to the GPU");
        done += piece;
    }
}

}  // namespace locus::LOCUS_TARGET
