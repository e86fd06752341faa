#include "kernels/simt.h"

#include <stdexcept>
#include <vector>

#include "tests/kernels/testing.h"

namespace locus::simt {
namespace {

using test::Memory;

// Every test in each of the orders in which threads may run.
class SimtInOrder : public ::testing::TestWithParam<Order> {
protected:
    void SetUp() override { set_order(GetParam()); }
    void TearDown() override { set_order(Order::forward); }
};
INSTANTIATE_TEST_SUITE_P(Orders, SimtInOrder, ::testing::Values(Order::forward, Order::backward, Order::shuffled));

TEST_P(SimtInOrder, EveryThreadOfEveryBlockRunsOnce) {
    std::vector<int> ran(2 * 3 * 8 * 4);
    run("test", {2, 3, 1}, {8, 4, 1}, 0, [&] {
        const unsigned block = blockIdx.y * gridDim.x + blockIdx.x;
        ++ran[(block * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x];
    });
    for (const int times : ran) EXPECT_EQ(times, 1);
}

// Reverses numbers through shared memory: right only if all have written before any reads.
TEST_P(SimtInOrder, ABarrierLetsAllWriteBeforeAnyReads) {
    std::vector<int> reversed(100);
    run("test", {1, 1, 1}, {100, 1, 1}, 100 * sizeof(int), [&] {
        int* const shared = static_cast<int*>(dynamic_shared_memory());
        for (int round = 0; round < 3; ++round) {
            shared[threadIdx.x] = static_cast<int>(threadIdx.x) + round;
            __syncthreads();
            reversed[threadIdx.x] = shared[99 - threadIdx.x];
            __syncthreads();
        }
    });
    for (int i = 0; i < 100; ++i) EXPECT_EQ(reversed[static_cast<std::size_t>(i)], 99 - i + 2);
}

TEST_P(SimtInOrder, AShuffleGivesTheOtherLanesNumberAgainAndAgain) {
    std::vector<int> sums(64);
    run("test", {1, 1, 1}, {64, 1, 1}, 0, [&] {
        int value = static_cast<int>(threadIdx.x);
        for (int mask = 16; mask > 0; mask /= 2) value += __shfl_xor_sync(0xFFFFFFFFU, value, mask);
        sums[threadIdx.x] = value + __shfl_sync(0xFFFFFFFFU, static_cast<int>(threadIdx.x), 5);
    });
    for (int i = 0; i < 64; ++i) {
        const int warp = i / 32;
        EXPECT_EQ(sums[static_cast<std::size_t>(i)], 31 * 16 + warp * 32 * 32 + warp * 32 + 5);
    }
}

// Each thread reads what one of the other warp has written; both have waited for their own warp only.
TEST(Simt, ABarrierOfAWarpInsteadOfTheBlocksShows) {
    const auto sum_of_read = [](Order order) {
        std::vector<int> shared(64);
        int sum = 0;
        set_order(order);
        run("test", {1, 1, 1}, {64, 1, 1}, 0, [&] {
            shared[threadIdx.x] = 1;
            __syncwarp();
            sum += shared[63 - threadIdx.x];
        });
        set_order(Order::forward);
        return sum;
    };
    EXPECT_EQ(sum_of_read(Order::forward), 32);  // the first warp has found nothing
    EXPECT_EQ(sum_of_read(Order::backward), 32);
    EXPECT_GT(sum_of_read(Order::shuffled), 32);
}

TEST(Simt, AForgottenBarrierShowsInAnotherOrder) {
    const auto last_writer = [](Order order) {
        int shared = -1;
        set_order(order);
        run("test", {1, 1, 1}, {32, 1, 1}, 0, [&] { shared = static_cast<int>(threadIdx.x); });
        set_order(Order::forward);
        return shared;
    };
    EXPECT_EQ(last_writer(Order::forward), 31);
    EXPECT_EQ(last_writer(Order::backward), 0);
}

TEST(Simt, SharedMemoryBeginsAsNaN) {
    float first = 0;
    run("test", {1, 1, 1}, {1, 1, 1}, sizeof(float), [&] { first = *static_cast<float*>(dynamic_shared_memory()); });
    EXPECT_TRUE(std::isnan(first));
}

TEST(Simt, AThreadThatEndsWhileOthersWaitIsAnError) {
    EXPECT_THROW(run("test", {1, 1, 1}, {32, 1, 1}, 0,
                     [] {
                         if (threadIdx.x > 0) __syncthreads();
                     }),
                 std::logic_error);
}

TEST(Simt, ThreadsThatWaitAtDifferentPlacesAreAnError) {
    EXPECT_THROW(run("test", {1, 1, 1}, {64, 1, 1}, 0,
                     [] {
                         if (threadIdx.x == 0) {
                             __syncwarp();
                         } else {
                             __syncthreads();
                         }
                     }),
                 std::logic_error);
}

// What a GPU would answer with an illegal address.
TEST(SimtDeathTest, TheProgramCannotReadDeviceMemory) {
    const Buffer buffer(64, Device::simt);
    const volatile char* const address = static_cast<const char*>(buffer.data());
    EXPECT_DEATH(EXPECT_EQ(address[0], 0), "");
}

}  // namespace
}  // namespace locus::simt
