#include "kernels/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <utility>
#include <vector>

namespace locus {
namespace {

std::uintptr_t address(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

TEST(Buffer, IsZeroedAndAligned) {
    for (std::size_t bytes : {std::size_t{1}, std::size_t{100}, std::size_t{5000}, std::size_t{3} << 20U}) {
        const Buffer buffer(bytes);
        ASSERT_GE(buffer.bytes(), bytes);
        EXPECT_EQ(address(buffer.data()) % (bytes >= (std::size_t{2} << 20U) ? std::size_t{2} << 20U : 64), 0U)
            << bytes;
        const auto* begin = static_cast<const unsigned char*>(buffer.data());
        EXPECT_EQ(std::count(begin, begin + buffer.bytes(), 0), static_cast<std::ptrdiff_t>(buffer.bytes())) << bytes;
    }
}

TEST(Buffer, OfNoBytesHasNoAddress) {
    const Buffer buffer(0);
    EXPECT_EQ(buffer.data(), nullptr);
    EXPECT_EQ(buffer.bytes(), 0U);
}

TEST(Buffer, MovesItsMemoryAlong) {
    Buffer first(1000);
    void* const data = first.data();
    Buffer second(std::move(first));
    EXPECT_EQ(second.data(), data);
    Buffer third(10);
    third = std::move(second);
    EXPECT_EQ(third.data(), data);
}

TEST(Buffer, MoreThanThereIsThrowsBadAlloc) {
    EXPECT_THROW((void)Buffer(std::size_t{1} << 60U), std::bad_alloc);
    EXPECT_THROW((void)Buffer(std::numeric_limits<std::size_t>::max()), std::bad_alloc);
    EXPECT_THROW((void)Buffer(std::numeric_limits<std::size_t>::max() - (std::size_t{1} << 20U)), std::bad_alloc);
}

TEST(Arena, BlocksAreAlignedAndDoNotOverlap) {
    Arena arena;
    std::vector<std::pair<unsigned char*, std::size_t>> blocks;
    for (std::size_t bytes : {0U, 1U, 63U, 64U, 65U, 1000U, 4096U, 100000U, 600000U, 3000000U, 7U}) {
        auto* block = static_cast<unsigned char*>(arena.take(bytes));
        EXPECT_EQ(address(block) % 64, 0U) << bytes;
        std::memset(block, static_cast<int>(blocks.size() + 1), bytes);
        blocks.emplace_back(block, bytes);
    }
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        for (std::size_t k = 0; k < blocks[i].second; ++k) ASSERT_EQ(blocks[i].first[k], i + 1) << i << " " << k;
    }
}

TEST(Arena, EverySizeIsServedInFull) {
    Arena arena;
    for (std::size_t bytes = 1; bytes < 5000; ++bytes) {
        const std::size_t before = arena.used();
        void* const block = arena.take(bytes);
        const std::size_t served = arena.used() - before;
        ASSERT_GE(served, bytes);
        ASSERT_LE(served, std::max<std::size_t>(64, bytes + bytes / 8 + 8)) << bytes;
        std::memset(block, 255, bytes);
        arena.give_back(block);
        ASSERT_EQ(arena.used(), before);
    }
}

TEST(Arena, ARepeatedStepAsksTheSystemForNothing) {
    Arena arena;
    const auto step = [&] {
        std::vector<void*> taken, addresses;
        for (std::size_t bytes : {100U, 70000U, 70000U, 4000000U, 3U, 900000U}) {
            taken.push_back(arena.take(bytes));
            addresses.push_back(taken.back());
            if (taken.size() % 3 == 0) {
                arena.give_back(taken.back());
                taken.pop_back();
            }
        }
        while (!taken.empty()) {
            arena.give_back(taken.back());
            taken.pop_back();
        }
        return addresses;
    };
    step();
    const std::size_t growths = arena.growths(), reserved = arena.reserved(), peak = arena.peak();
    const std::vector<void*> second = step();
    for (int repeat = 0; repeat < 5; ++repeat) EXPECT_EQ(step(), second);
    EXPECT_EQ(arena.growths(), growths);
    EXPECT_EQ(arena.reserved(), reserved);
    EXPECT_EQ(arena.peak(), peak);
    EXPECT_EQ(arena.used(), 0U);
    EXPECT_GE(reserved, peak);
}

TEST(Arena, TheLastBlockGivenBackIsTheFirstServed) {
    Arena arena;
    void* const a = arena.take(1000);
    void* const b = arena.take(1000);
    arena.give_back(a);
    arena.give_back(b);
    EXPECT_EQ(arena.take(1000), b);
    EXPECT_EQ(arena.take(1000), a);
}

TEST(Arena, ManySmallBlocksShareASlab) {
    Arena arena;
    for (int i = 0; i < 1000; ++i) arena.take(200);
    EXPECT_EQ(arena.growths(), 1U);
}

TEST(Arena, LargeBlocksShareSlabsAndLeaveLittleOfThemUnused) {
    Arena arena;
    for (int i = 0; i < 40; ++i) arena.take(std::size_t{4} << 20U);
    EXPECT_LT(arena.growths(), 8U);
    EXPECT_EQ(arena.used(), std::size_t{160} << 20U);
    EXPECT_LE(arena.reserved(), arena.used() + (std::size_t{64} << 20U));  // one slab at most is not begun
}

TEST(Arena, ABlockHasAWordForItsOwner) {
    Arena arena;
    void *const a = arena.take(64), *const b = arena.take(64);
    arena.link(a) = b;
    arena.link(b) = nullptr;
    std::memset(a, 255, 64);
    std::memset(b, 255, 64);
    EXPECT_EQ(arena.link(a), b);
    EXPECT_EQ(arena.link(b), nullptr);
    arena.give_back(b);
    EXPECT_EQ(arena.take(64), b);
}

TEST(Arena, MoreThanThereIsThrowsBadAlloc) {
    Arena arena;
    EXPECT_THROW(arena.take(std::size_t{1} << 60U), std::bad_alloc);
    EXPECT_THROW(arena.take(std::numeric_limits<std::size_t>::max()), std::bad_alloc);
    EXPECT_EQ(arena.used(), 0U);
    arena.give_back(arena.take(100));
}

TEST(Arena, ATensorHasItsShape) {
    Arena arena;
    const Tensor tensor = arena.tensor({3, 5}, DType::float64);
    EXPECT_EQ(tensor.shape, (Shape{3, 5}));
    EXPECT_TRUE(tensor.is_contiguous());
    EXPECT_EQ(tensor.dtype, DType::float64);
    EXPECT_GE(arena.used(), 120U);
    arena.give_back(tensor.data);
    EXPECT_EQ(arena.used(), 0U);
}

}  // namespace
}  // namespace locus
