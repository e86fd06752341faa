#include "kernels/column_sum.h"

#include <stdexcept>

#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

struct Case {
    std::int64_t rows, columns;
};
class ColumnSumOf : public ::testing::TestWithParam<Case> {};

TEST_P(ColumnSumOf, AddsTheRowsToWhatIsThere) {
    const auto [rows, columns] = GetParam();
    for (DType dtype : {DType::float32, DType::float64}) {
        for (bool strided : {false, true}) {
            const Owned wide = normals({rows, columns + (strided ? 5 : 0)}, dtype, 1);
            const Tensor x = strided ? wide.tensor().slice(1, 2, columns + 2) : wide.tensor();
            Owned sum = normals({columns}, dtype, 2), expected = converted(sum, DType::float64);
            for (std::int64_t i = 0; i < rows * columns; ++i)
                expected.set(i % columns, expected.get(i % columns) + element(x, i));
            column_sum({x, sum});
            EXPECT_TRUE(close("sum", sum, expected, 0.0, dtype == DType::float32 ? 2e-6 : 1e-13));
        }
    }
}

TEST_P(ColumnSumOf, GivesOnAGpuWhatItGivesOnTheProcessor) {
    const auto [rows, columns] = GetParam();
    const auto solved = [rows = rows, columns = columns](DType dtype, DType computed_in) {
        const Owned wide = converted(normals({rows, columns + 5}, dtype, 1), computed_in);
        Owned sum = normals({columns}, DType::float32, 2);
        column_sum({wide.tensor().slice(1, 2, columns + 2), sum});
        return sum;
    };
    for (const DType dtype : {DType::float32, DType::bfloat16}) {
        const Owned expected = solved(dtype, DType::float32);
        on_each_gpu([&] { EXPECT_TRUE(close("sum", solved(dtype, dtype), expected, 0.0, 1e-6)); });
    }
}

// Rows that begin at multiples of eight numbers: all but the last columns are read in eights.
TEST_P(ColumnSumOf, OnAGpuColumnsMayBeLeftOver) {
    const auto [rows, columns] = GetParam();
    const auto solved = [rows = rows, columns = columns](DType dtype, DType computed_in) {
        const Owned wide = converted(normals({rows, (columns + 7) / 8 * 8 + 8}, dtype, 1), computed_in);
        Owned sum = normals({columns}, DType::float32, 2);
        column_sum({wide.tensor().slice(1, 8, columns + 8), sum});
        return sum;
    };
    for (const DType dtype : {DType::float32, DType::bfloat16}) {
        const Owned expected = solved(dtype, DType::float32);
        on_each_gpu([&] { EXPECT_TRUE(close("sum", solved(dtype, dtype), expected, 0.0, 1e-6)); });
    }
}

INSTANTIATE_TEST_SUITE_P(Shapes, ColumnSumOf,
                         ::testing::Values(Case{1, 1}, Case{3, 17}, Case{100, 3}, Case{65, 300}, Case{1000, 129},
                                           Case{0, 5}, Case{70, 64}, Case{1100, 8}, Case{33000, 3}));

TEST(ColumnSum, BitsDoNotDependOnTheNumberOfThreads) {
    const Owned x = normals({1001, 300}, DType::float32, 1);
    Owned first;
    for (int threads : {1, 2, 3}) {
        const Threads guard(threads);
        Owned sum = zeros({300}, DType::float32);
        column_sum({x, sum});
        if (threads == 1) first = sum;
        EXPECT_TRUE(identical("sum", sum, first));
    }
}

TEST(ColumnSum, BrokenContractsAreNamed) {
    const Owned x = normals({4, 6}, DType::float32, 1);
    EXPECT_THROW(column_sum({x, zeros({5}, DType::float32)}), std::logic_error);
    EXPECT_THROW(column_sum({x, zeros({6}, DType::float64)}), std::logic_error);
    EXPECT_THROW(column_sum({normals({6}, DType::float32, 1), zeros({6}, DType::float32)}), std::logic_error);
}

}  // namespace
}  // namespace locus::test
