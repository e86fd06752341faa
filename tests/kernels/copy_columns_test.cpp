#include "kernels/copy_columns.h"

#include <cmath>
#include <stdexcept>
#include <utility>

#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

TEST(CopyColumns, CopiesOrAddsBetweenColumnsOfWiderMatrices) {
    for (DType dtype : {DType::float32, DType::float64}) {
        const Owned from = normals({5, 40}, dtype, 1);
        Owned to = normals({5, 30}, dtype, 2);
        const Owned before = to;
        const Tensor x = from.tensor().slice(1, 7, 27), y = to.tensor().slice(1, 9, 29);
        copy_columns({.x = x, .y = y});
        for (std::int64_t r = 0; r < 5; ++r) {
            for (std::int64_t c = 0; c < 20; ++c) EXPECT_EQ(to.get(r, 9 + c), from.get(r, 7 + c));
            for (const std::int64_t c : {0, 8, 29}) EXPECT_EQ(to.get(r, c), before.get(r, c));
        }
        copy_columns({.x = x, .y = y, .accumulate = true});
        EXPECT_EQ(to.get(4, 28), 2 * from.get(4, 26));
    }
}

TEST(CopyColumns, GivesOnAGpuWhatItGivesOnTheProcessor) {
    // Once a copy, once a sum; `to` with everything beside the columns.
    const auto solved = [](DType dtype, DType computed_in) {
        const Owned from = converted(normals({5, 400}, dtype, 1), computed_in);
        Owned copied = converted(normals({5, 330}, dtype, 2), computed_in), added = copied;
        const Tensor x = from.tensor().slice(1, 7, 307);
        copy_columns({.x = x, .y = copied.tensor().slice(1, 9, 309)});
        copy_columns({.x = x, .y = added.tensor().slice(1, 9, 309), .accumulate = true});
        return std::pair{converted(copied, dtype), converted(added, dtype)};
    };
    for (const DType dtype : {DType::float32, DType::bfloat16}) {
        const auto expected = solved(dtype, DType::float32);
        on_each_gpu([&] {
            const auto got = solved(dtype, dtype);
            EXPECT_TRUE(identical("copied", got.first, expected.first));
            EXPECT_TRUE(identical("added", got.second, expected.second));
        });
    }
}

TEST(CopyColumns, ConvertsOnAGpu) {
    const auto as = [](const Owned& numbers, DType dtype) { return converted(numbers, dtype); };
    for (const DType to : {DType::float32, DType::bfloat16}) {
        const DType from = to == DType::float32 ? DType::bfloat16 : DType::float32;
        const Owned x = as(normals({5, 400}, from, 1), DType::float32),
                    y = as(normals({5, 330}, to, 2), DType::float32);
        Owned added = y;
        copy_columns({.x = x.tensor().slice(1, 7, 307), .y = added.tensor().slice(1, 9, 309), .accumulate = true});
        on_each_gpu([&] {
            const Owned x_there = as(x, from);
            Owned copied = as(y, to), sum = copied;
            const Tensor columns = x_there.tensor().slice(1, 7, 307);
            copy_columns({.x = columns, .y = copied.tensor().slice(1, 9, 309)});
            copy_columns({.x = columns, .y = sum.tensor().slice(1, 9, 309), .accumulate = true});
            EXPECT_TRUE(identical("added", as(sum, DType::float32), as(as(added, to), DType::float32)));
            const Owned rounded = as(as(x, to), DType::float32), got = as(copied, DType::float32);
            for (std::int64_t r = 0; r < 5; ++r) {
                for (std::int64_t c = 0; c < 300; ++c) ASSERT_EQ(got.get(r, 9 + c), rounded.get(r, 7 + c));
                for (const std::int64_t c : {0, 8, 309, 329}) EXPECT_EQ(got.get(r, c), y.get(r, c));
            }
        });
    }
}

// 16 bytes at a time.
TEST(CopyColumns, MovesEightNumbersAtOnceOnAGpu) {
    for (const DType from : {DType::float32, DType::bfloat16}) {
        for (const DType to : {DType::float32, DType::bfloat16}) {
            const Owned x = converted(normals({9, 64}, from, 1), DType::float32);
            on_each_gpu([&] {
                const Owned there = normals({9, 64}, from, 1), copied = normals({9, 320}, to, 2), before = copied;
                const Owned added = copied;
                const Tensor columns = there.tensor().slice(1, 8, 56), into = added.tensor().slice(1, 16, 64);
                copy_columns({.x = columns, .y = copied.tensor().slice(1, 16, 64)});
                copy_columns({.x = columns, .y = into, .accumulate = true});
                const Owned stored = converted(x, to);
                for (std::int64_t r = 0; r < 9; ++r) {
                    for (std::int64_t c = 0; c < 48; ++c) {
                        ASSERT_EQ(copied.get(r, 16 + c), stored.get(r, 8 + c));
                        const double sum = x.get(r, 8 + c) + before.get(r, 16 + c);
                        ASSERT_NEAR(added.get(r, 16 + c), sum, 4e-3 * std::abs(sum));
                    }
                    for (const std::int64_t c : {0, 15, 64, 319}) EXPECT_EQ(copied.get(r, c), before.get(r, c));
                }
            });
        }
    }
}

TEST(CopyColumns, OfNothingDoesNothing) {
    const auto run = [] {
        for (const Shape& shape : {Shape{0, 4}, Shape{4, 0}}) {
            const Owned none(shape, DType::float32);
            EXPECT_NO_THROW(copy_columns({.x = none, .y = none}));
        }
    };
    run();
    on_each_gpu(run);
}

TEST(CopyColumns, BrokenContractsAreNamed) {
    const Owned x = normals({4, 6}, DType::float32, 1);
    EXPECT_THROW(copy_columns({.x = x, .y = normals({4, 5}, DType::float32, 1)}), std::logic_error);
    EXPECT_THROW(copy_columns({.x = x, .y = normals({4, 6}, DType::float64, 1)}), std::logic_error);
}

}  // namespace
}  // namespace locus::test
