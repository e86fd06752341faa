#include "kernels/simt.h"

#include <algorithm>
#include <array>
#include <boost/context/fiber.hpp>
#include <boost/context/fixedsize_stack.hpp>
#include <deque>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "kernels/random.h"
#include "kernels/simt_runtime.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace locus::simt {

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace {

using boost::context::fiber;
using boost::context::stack_context;

constexpr std::size_t stack_bytes = std::size_t{128} << 10U;
constexpr unsigned warp_size = 32;

// ---- changing from one stack to another; AddressSanitizer wants to be told before and after ----

struct Stack {
    const void* bottom = nullptr;
    std::size_t bytes = 0;
};

// Goes to `to`, whose stack is `stack`, and returns who came back. `from`, if asked for, becomes the stack that was left to come here.
fiber go_to(fiber&& to, [[maybe_unused]] Stack stack, [[maybe_unused]] Stack* from = nullptr) {
#if defined(__SANITIZE_ADDRESS__)
    void* kept = nullptr;
    __sanitizer_start_switch_fiber(&kept, stack.bottom, stack.bytes);
    fiber back = std::move(to).resume();
    Stack left;
    __sanitizer_finish_switch_fiber(kept, &left.bottom, &left.bytes);
    if (from != nullptr) *from = left;
    return back;
#else
    return std::move(to).resume();
#endif
}

// ---- one block: its threads, and where they wait ----

// Where so many threads wait for each other, again and again.
struct Barrier {
    unsigned expected = 0, arrived = 0;
    std::uint64_t passed = 0;  // so often
};

struct Warp {
    Barrier barrier;
    std::array<std::array<std::uint64_t, warp_size>, 2>
        values{};  // of two exchanges: who is late still reads the last one
};

struct Thread {
    Thread() : stack(boost::context::fixedsize_stack(stack_bytes).allocate()) {}
    ~Thread() { boost::context::fixedsize_stack(stack_bytes).deallocate(stack); }
    Thread(const Thread&) = delete;
    Thread& operator=(const Thread&) = delete;

    stack_context stack;  // serves one block after the other
    fiber context;
    unsigned number = 0;  // in the block
    dim3 index;
    bool ended = false;
    const Barrier* waits_at = nullptr;
    std::uint64_t goes_on_after = 0;  // when the barrier was passed so often
    std::size_t exchanges = 0;
};

struct Block {
    std::deque<Thread> threads;  // as many as any block had; fibers keep addresses
    std::vector<Warp> warps;
    Barrier all;
    std::vector<char> shared;
    fiber scheduler;
    Stack scheduler_stack;
    Thread* running = nullptr;
};

// Not static in the function: asking whether it has been made would be a sixth of the time.
Block the_block;
Block& block() { return the_block; }

Order order = Order::forward;
std::size_t shared_bytes_of_a_block = std::size_t{227} << 10U;

// Called by a thread: lets others run.
void give_way() {
    Thread* const self = block().running;
    block().scheduler = go_to(std::move(block().scheduler), block().scheduler_stack, &block().scheduler_stack);
    threadIdx = self->index;
}

void wait_at(Barrier& barrier) {
    if (++barrier.arrived == barrier.expected) {
        barrier.arrived = 0;
        ++barrier.passed;
        return;
    }
    Thread& self = *block().running;
    self.waits_at = &barrier;
    self.goes_on_after = barrier.passed + 1;
    give_way();
    self.waits_at = nullptr;
}

bool may_run(const Thread& thread) {
    return !thread.ended && (thread.waits_at == nullptr || thread.waits_at->passed >= thread.goes_on_after);
}

struct KeepStack {
    static void deallocate(const stack_context&) {}
};

void start(Thread& thread, const std::function<void()>& body) {
    thread.ended = false;
    thread.waits_at = nullptr;
    thread.exchanges = 0;
    const boost::context::preallocated place(thread.stack.sp, thread.stack.size, thread.stack);
    thread.context = fiber(std::allocator_arg, place, KeepStack(), [&thread, &body](fiber&& scheduler) {
#if defined(__SANITIZE_ADDRESS__)
        __sanitizer_finish_switch_fiber(nullptr, &block().scheduler_stack.bottom, &block().scheduler_stack.bytes);
#endif
        block().scheduler = std::move(scheduler);
        body();
        thread.ended = true;
#if defined(__SANITIZE_ADDRESS__)
        __sanitizer_start_switch_fiber(nullptr, block().scheduler_stack.bottom, block().scheduler_stack.bytes);
#endif
        return std::move(block().scheduler);
    });
}

void resume(Thread& thread) {
    block().running = &thread;
    threadIdx = thread.index;
    const char* const top = static_cast<const char*>(thread.stack.sp);
    thread.context = go_to(std::move(thread.context), {top - thread.stack.size, thread.stack.size});
}

// Unwinds a thread that waits, before its stack serves another. That is by an exception, after which AddressSanitizer would still see the frames there.
void give_up(Thread& thread) {
    thread.context = fiber();
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(static_cast<char*>(thread.stack.sp) - thread.stack.size, thread.stack.size);
#endif
}

[[noreturn]] void throw_stuck(const char* op, unsigned ended, unsigned count) {
    for (Thread& thread : block().threads) give_up(thread);
    throw std::logic_error(std::string("[") + op + "] threads of block " + std::to_string(blockIdx.x) +
                           " wait for others that do not come: " +
                           (ended > 0 ? std::to_string(ended) + " of " + std::to_string(count) + " have ended"
                                      : "they wait at different places"));
}

// Rounds over these threads until none can go on. Returns how many have ended; `moved` if any has moved.
unsigned let_run(std::span<const unsigned> turns, bool& moved) {
    unsigned ended = 0;
    for (bool again = true; again;) {
        again = false;
        for (const unsigned t : turns) {
            Thread& thread = block().threads[t];
            if (!may_run(thread)) continue;
            again = moved = true;
            resume(thread);
            ended += thread.ended ? 1 : 0;
        }
    }
    return ended;
}

// Lets the threads run in the chosen order until all have ended.
void run_block(const char* op, unsigned count, const std::function<void()>& body) {
    std::vector<unsigned> turns(count);
    std::iota(turns.begin(), turns.end(), 0U);
    if (order == Order::backward) std::reverse(turns.begin(), turns.end());
    if (order == Order::shuffled) {
        for (unsigned n = count; n > 1; --n)
            std::swap(turns[n - 1], turns[below(philox({blockIdx.x, stream_shuffle}, {n, blockIdx.y, 0, 0})[0], n)]);
    }
    const unsigned together = order == Order::shuffled ? count : warp_size;
    for (unsigned t = 0; t < count; ++t) start(block().threads[t], body);
    for (unsigned ended = 0; ended < count;) {
        bool moved = false;
        for (unsigned first = 0; first < count; first += together)
            ended += let_run(std::span(turns).subspan(first, std::min(together, count - first)), moved);
        if (!moved) throw_stuck(op, ended, count);
    }
}

dim3 index_of(unsigned number, dim3 extent) {
    return {number % extent.x, number / extent.x % extent.y, number / extent.x / extent.y};
}

void prepare_block(dim3 extent, std::size_t shared_bytes) {
    const unsigned count = extent.x * extent.y * extent.z;
    while (block().threads.size() < count) block().threads.emplace_back();
    for (unsigned t = 0; t < count; ++t) {
        block().threads[t].number = t;
        block().threads[t].index = index_of(t, extent);
    }
    block().warps.assign((count + warp_size - 1) / warp_size, {});
    for (std::size_t w = 0; w < block().warps.size(); ++w)
        block().warps[w].barrier.expected = std::min(warp_size, count - static_cast<unsigned>(w) * warp_size);
    block().all = {.expected = count};
    block().shared = std::vector<char>(
        shared_bytes, static_cast<char>(0xFF));  // anew: its end is where a sanitizer sees it; all ones: NaN
}

}  // namespace

void set_order(Order next) { order = next; }
void set_most_shared_bytes(std::size_t bytes) { shared_bytes_of_a_block = bytes; }

// NOLINTBEGIN(readability-identifier-naming)
cudaError_t cudaGetDevice(int* device) {
    *device = 0;
    return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) {
    *value = static_cast<int>(shared_bytes_of_a_block);
    return cudaSuccess;
}
// NOLINTEND(readability-identifier-naming)

// Limits of every GPU since compute capability 7.5, but for shared memory.
bool can_be_launched(dim3 grid, dim3 extent, std::size_t shared_bytes) {
    constexpr std::uint64_t most_threads = 1024;
    return grid.x <= 2147483647 && grid.y <= 65535 && grid.z <= 65535 && extent.z <= 64 &&
           std::uint64_t{extent.x} * extent.y * extent.z <= most_threads && shared_bytes <= shared_bytes_of_a_block;
}

void run(const char* op, dim3 grid, dim3 extent, std::size_t shared_bytes, std::function<void()> thread) {
    if (!can_be_launched(grid, extent, shared_bytes)) return set_last_error(cudaErrorInvalidConfiguration);
    with_device_memory([op, grid, extent, shared_bytes, thread = std::move(thread)] {
        gridDim = grid;
        blockDim = extent;
        for (unsigned b = 0; b < grid.x * grid.y * grid.z; ++b) {
            blockIdx = index_of(b, grid);
            prepare_block(extent, shared_bytes);
            run_block(op, extent.x * extent.y * extent.z, thread);
        }
    });
}

void* dynamic_shared_memory() { return block().shared.data(); }

// NOLINTBEGIN(bugprone-reserved-identifier)
void __syncthreads() { wait_at(block().all); }
void __syncwarp() { wait_at(block().warps[block().running->number / warp_size].barrier); }
// NOLINTEND(bugprone-reserved-identifier)

unsigned lane_of_thread() { return block().running->number % warp_size; }

std::uint64_t exchange(std::uint64_t value, unsigned lane) {
    Thread& self = *block().running;
    Warp& warp = block().warps[self.number / warp_size];
    auto& values = warp.values[self.exchanges++ % 2];
    values[self.number % warp_size] = value;
    wait_at(warp.barrier);
    return values[lane];
}

}  // namespace locus::simt
