// The product of a warp, as the stand-in for a GPU computes it, against a plain product. On a GPU it is the tests of attention that try it.

#define LOCUS_TARGET simt
#include "kernels/gpu_mma.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernels/random.h"

namespace locus::simt {
namespace {

/// Whole numbers, so that every product and sum is exact.
std::vector<bfloat16_t> numbers(std::size_t count, std::uint32_t seed) {
    std::vector<bfloat16_t> x(count);
    for (std::size_t n = 0; n < count; ++n)
        store(&x[n], static_cast<float>(below(philox({seed, 0}, {static_cast<std::uint32_t>(n), 0, 0, 0})[0], 19)) - 9);
    return x;
}

constexpr int m = 16, n_tiles = 4, n = 8 * n_tiles, steps = 2, k = 16 * steps;

/// What two warps compute from the operands, each the whole product.
template <class A, class B>
std::vector<float> product(const A& a, const B& b) {
    std::vector<float> c(2 * m * n, -1);
    run("test", {1, 1, 1}, {64, 1, 1}, 0, [&] {
        MmaC strip[n_tiles] = {};
        multiply_strip<steps>(strip, a, b);
        for (int tile = 0; tile < n_tiles; ++tile)
            for (int e = 0; e < 4; ++e)
                c.data()[(static_cast<int>(threadIdx.x / 32) * m + mma_row(e)) * n + 8 * tile + mma_column(e)] =
                    strip[tile].at[e];
    });
    return c;
}

template <class OfA, class OfB>
void expect_product(const std::vector<float>& c, const OfA& a, const OfB& b) {
    for (int warp = 0; warp < 2; ++warp)
        for (int row = 0; row < m; ++row)
            for (int column = 0; column < n; ++column) {
                float sum = 0;
                for (int inner = 0; inner < k; ++inner) sum += load(a(row, inner)) * load(b(inner, column));
                ASSERT_EQ(c.data()[(warp * m + row) * n + column], sum) << row << ", " << column;
            }
}

class GpuMma : public ::testing::TestWithParam<Order> {
protected:
    void SetUp() override { set_order(GetParam()); }
    void TearDown() override { set_order(Order::forward); }
};
INSTANTIATE_TEST_SUITE_P(Orders, GpuMma, ::testing::Values(Order::forward, Order::backward, Order::shuffled));

TEST_P(GpuMma, MultipliesRowsWithRows) {
    constexpr int stride = k + 8;
    const auto x = numbers(m * stride, 1), y = numbers(n * stride, 2);
    expect_product(
        product(RowsOf{x.data(), stride}, RowsOf{y.data(), stride}),
        [&](int row, int inner) { return x.data() + row * stride + inner; },
        [&](int inner, int column) { return y.data() + column * stride + inner; });
}

TEST_P(GpuMma, MultipliesColumnsWithColumns) {
    constexpr int stride = n + 8;
    const auto x = numbers(k * stride, 3), y = numbers(k * stride, 4);
    expect_product(
        product(ColumnsOf{x.data(), stride}, ColumnsOf{y.data(), stride}),
        [&](int row, int inner) { return x.data() + inner * stride + row; },
        [&](int inner, int column) { return y.data() + inner * stride + column; });
}

TEST_P(GpuMma, BlocksBeginAtAnyRowAndEveryEighthColumn) {
    constexpr int stride = 8 + k + 8, first_row = 3, first_column = 8;
    const auto x = numbers((first_row + m) * stride, 7), y = numbers((first_row + k) * stride, 8);
    const auto first_of = [](const auto& matrix) { return matrix.data() + first_row * stride + first_column; };
    expect_product(
        product(RowsOf{first_of(x), stride}, ColumnsOf{first_of(y), stride}),
        [&](int row, int inner) { return first_of(x) + row * stride + inner; },
        [&](int inner, int column) { return first_of(y) + inner * stride + column; });
}

TEST_P(GpuMma, AStripInRegistersIsAnOperand) {
    const auto x = numbers(m * k, 5), y = numbers(n * k, 6);
    const auto strip_of_x = [&](int step) {
        MmaC strip[2 * steps];
        for (int tile = 0; tile < 2 * steps; ++tile)
            for (int e = 0; e < 4; ++e) strip[tile].at[e] = load(x.data() + mma_row(e) * k + 8 * tile + mma_column(e));
        return StripOf{strip}(step);
    };
    expect_product(
        product(strip_of_x, RowsOf{y.data(), k}), [&](int row, int inner) { return x.data() + row * k + inner; },
        [&](int inner, int column) { return y.data() + column * k + inner; });
}

TEST(GpuMmaRounding, OfAStripIsToTheNearest) {
    EXPECT_EQ(pair_of(1.0F, 1.00390625F), 0x3F803F80U);  // halfway: to the even one
    EXPECT_EQ(pair_of(-2.0F, 1.0040F), 0x3F81C000U);
}

}  // namespace
}  // namespace locus::simt
