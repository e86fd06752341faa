#include "kernels/gather_rows.h"

#include <limits>
#include <stdexcept>

#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

struct Case {
    std::int64_t rows, columns;
    std::vector<std::int32_t> indices;
};
class GatherRowsOf : public ::testing::TestWithParam<Case> {};

TEST_P(GatherRowsOf, ForwardCopiesTheRows) {
    const Case& size = GetParam();
    const Owned x = normals({size.rows, size.columns}, DType::float32, 1), indices = int32s(size.indices);
    Owned y({indices.count(), size.columns}, DType::float32);
    gather_rows_forward({x, indices, y});
    for (std::int64_t i = 0; i < y.count(); ++i) {
        EXPECT_EQ(y.get(i), x.get(size.indices[static_cast<std::size_t>(i / size.columns)], i % size.columns));
    }
}

TEST_P(GatherRowsOf, BackwardPutsTheRowsBack) {
    const Case& size = GetParam();
    const Owned indices = int32s(size.indices), dy = normals({indices.count(), size.columns}, DType::float64, 2);
    const Owned before = normals({size.rows, size.columns}, DType::float64, 3);
    Owned added = before, placed = filled(before.shape(), DType::float64, std::numeric_limits<double>::quiet_NaN());
    Owned expected = zeros(before.shape(), DType::float64);
    for (std::int64_t i = 0; i < dy.count(); ++i) {
        expected.set(size.indices[static_cast<std::size_t>(i / size.columns)] * size.columns + i % size.columns,
                     dy.get(i));
    }
    gather_rows_backward({dy, indices, placed});
    gather_rows_backward({dy, indices, added, true});
    EXPECT_TRUE(identical("placed", placed, expected));
    for (std::int64_t i = 0; i < added.count(); ++i) EXPECT_EQ(added.get(i), before.get(i) + expected.get(i)) << i;
}

TEST_P(GatherRowsOf, GivesOnAGpuWhatItGivesOnTheProcessor) {
    struct Solved {
        Owned y, placed, added;
    };
    const auto solved = [](DType dtype, DType computed_in) {
        const Case& size = GetParam();
        const Shape all = {size.rows, size.columns},
                    few = {static_cast<std::int64_t>(size.indices.size()), size.columns};
        const Owned indices = int32s(size.indices), dy = converted(normals(few, dtype, 2), computed_in);
        Owned y(few, computed_in), placed = filled(all, computed_in, 7.0);
        Owned added = converted(normals(all, dtype, 3), computed_in);
        gather_rows_forward({converted(normals(all, dtype, 1), computed_in), indices, y});
        gather_rows_backward({dy, indices, placed});
        gather_rows_backward({dy, indices, added, true});
        return Solved{converted(y, dtype), converted(placed, dtype), converted(added, dtype)};
    };
    for (const DType dtype : {DType::float32, DType::bfloat16}) {
        const Solved expected = solved(dtype, DType::float32);
        on_each_gpu([&] {
            const Solved got = solved(dtype, dtype);
            EXPECT_TRUE(got.y.count() == 0 || identical("y", got.y, expected.y));
            EXPECT_TRUE(identical("placed", got.placed, expected.placed));
            EXPECT_TRUE(identical("added", got.added, expected.added));
        });
    }
}

INSTANTIATE_TEST_SUITE_P(Shapes, GatherRowsOf,
                         ::testing::Values(Case{1, 1, {0}}, Case{10, 3, {0, 4, 5, 9}}, Case{10, 17, {3}},
                                           Case{5, 100, {0, 1, 2, 3, 4}}, Case{6, 4, {}},
                                           Case{40, 48, {0, 7, 8, 20, 39}}));

TEST(GatherRows, BackwardMatchesCentralDifferencesInFloat64) {
    Owned x = normals({7, 3}, DType::float64, 1), y({3, 3}, DType::float64);
    const Owned indices = int32s({1, 2, 6}), dy = normals({3, 3}, DType::float64, 2);
    Owned dx({7, 3}, DType::float64);
    gather_rows_backward({dy, indices, dx});
    GradientCheck check([&] {
        gather_rows_forward({x, indices, y});
        return dot(dy, y);
    });
    EXPECT_TRUE(check.input("x", x, dx).run());
}

TEST(GatherRows, IndicesOutOfRangeOrOrderAreNamedAndNothingIsWritten) {
    const Owned x = normals({7, 3}, DType::float32, 1);
    for (const std::vector<std::int32_t>& bad : {std::vector<std::int32_t>{-1, 2}, {2, 7}, {3, 3}, {4, 2}}) {
        Owned y = normals({2, 3}, DType::float32, 2), dx = normals({7, 3}, DType::float32, 3);
        const Owned y_before = y, dx_before = dx;
        EXPECT_THROW(gather_rows_forward({x, int32s(bad), y}), std::out_of_range);
        EXPECT_THROW(gather_rows_backward({y, int32s(bad), dx}), std::out_of_range);
        EXPECT_TRUE(identical("y", y, y_before));
        EXPECT_TRUE(identical("dx", dx, dx_before));
    }
}

TEST(GatherRows, OnAGpuIndicesOutOfRangeOrOrderAreFoundWhenTheyAreWaitedFor) {
    for (const std::vector<std::int32_t>& bad : {std::vector<std::int32_t>{-1, 2}, {2, 7}, {3, 3}, {4, 2}}) {
        on_each_gpu([&] {
            const Owned x = normals({7, 3}, DType::float32, 1), indices = int32s(bad);
            Owned y({2, 3}, DType::float32), dx({7, 3}, DType::float32);
            gather_rows_forward({x, indices, y});
            EXPECT_THROW(wait_for(OnDevice::current()), std::out_of_range);
            gather_rows_backward({y, indices, dx});
            EXPECT_THROW(wait_for(OnDevice::current()), std::out_of_range);
            EXPECT_NO_THROW(wait_for(OnDevice::current()));
        });
    }
}

TEST(GatherRows, BrokenContractsAreNamed) {
    const Owned x = normals({7, 3}, DType::float32, 1), y({2, 4}, DType::float32), indices = int32s({1, 2});
    EXPECT_THROW(gather_rows_forward({x, indices, y}), std::logic_error);
    const Owned fits({2, 3}, DType::float32);
    EXPECT_THROW(gather_rows_forward({x, int32s({1}), fits}), std::logic_error);
    EXPECT_THROW(gather_rows_forward({x, indices, Owned({2, 3}, DType::float64)}), std::logic_error);
}

}  // namespace
}  // namespace locus::test
