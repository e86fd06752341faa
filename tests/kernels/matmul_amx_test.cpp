// The small product of attention on tile registers. The whole-matrix product is tested through matmul() in matmul_test.cpp.

#include "kernels/matmul_amx.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <tuple>
#include <vector>

#include "kernels/isa.h"
#include "kernels/random.h"

namespace locus {
namespace {

// Whole numbers from -3 to 3, which bfloat16 holds exactly, as it does their products: sums are exact too.
std::vector<float> whole_numbers(std::size_t count, std::uint32_t word) {
    std::vector<float> x(count);
    for (std::uint32_t n = 0; n < count; ++n) x[n] = static_cast<float>(philox({7, word}, {n, 0, 0, 0})[0] % 7) - 3.0F;
    return x;
}

using Case = std::tuple<bool, bool, bool>;  // A by columns, B by columns, C askew
class TileProductOf : public ::testing::TestWithParam<Case> {
protected:
    void SetUp() override {
        if (isa() != Isa::amx) GTEST_SKIP() << "this processor has no tile registers";
    }
};

TEST_P(TileProductOf, IsThePlainSumForOddAndEvenShapes) {
    const auto [a_by_columns, b_by_columns, askew] = GetParam();
    for (const auto& [m, n, k] :
         {std::array<std::int64_t, 3>{1, 1, 1}, {5, 7, 3}, {32, 32, 32}, {33, 40, 65}, {64, 160, 64}, {17, 64, 159}}) {
        const std::int64_t a_row = a_by_columns ? 1 : k + 3, a_column = a_by_columns ? m + 2 : 1;
        const std::int64_t b_row = b_by_columns ? 1 : n + 5, b_column = b_by_columns ? k + 1 : 1;
        const std::int64_t c_row = askew ? 2 * n + 1 : n + 9;
        const std::vector<float> a = whole_numbers(static_cast<std::size_t>((m + 2) * (k + 3)), 1);
        const std::vector<float> b = whole_numbers(static_cast<std::size_t>((n + 5) * (k + 5)), 2);
        const std::vector<float> before = whole_numbers(static_cast<std::size_t>(m * c_row + n), 3);
        for (const bool add : {false, true}) {
            std::vector<float> c = before, expected = before;
            for (std::int64_t i = 0; i < m; ++i) {
                for (std::int64_t j = 0; j < n; ++j) {
                    float sum = add ? before[static_cast<std::size_t>(i * c_row + j)] : 0.0F;
                    for (std::int64_t e = 0; e < k; ++e)
                        sum += a[static_cast<std::size_t>(i * a_row + e * a_column)] *
                               b[static_cast<std::size_t>(e * b_row + j * b_column)];
                    expected[static_cast<std::size_t>(i * c_row + j)] = sum;
                }
            }
            tile_product({m, n, k, a.data(), a_row, a_column, b.data(), b_row, b_column, c.data(), c_row, add});
            EXPECT_EQ(c, expected) << m << " x " << n << " x " << k << (add ? ", added" : "");
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Layouts, TileProductOf,
                         ::testing::Combine(::testing::Bool(), ::testing::Bool(), ::testing::Bool()));

TEST(TileProduct, RefusesOperandsWithoutContiguousRowsOrColumns) {
    const std::vector<float> x(64, 1.0F);
    std::vector<float> c(4);
    EXPECT_THROW(tile_product({2, 2, 2, x.data(), 4, 2, x.data(), 2, 1, c.data(), 2, false}), std::logic_error);
}

}  // namespace
}  // namespace locus
