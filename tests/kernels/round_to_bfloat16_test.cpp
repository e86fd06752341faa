#include "kernels/round_to_bfloat16.h"

#include <bit>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

// The neighbours of x among the bfloat16 numbers, by their values: the nearer one, the even one of two equally near.
float nearest(float x) {
    const auto bits = std::bit_cast<std::uint32_t>(x);
    const auto below = std::bit_cast<float>(bits & 0xFFFF0000U);
    const auto above = std::bit_cast<float>((bits & 0xFFFF0000U) + 0x10000U);  // away from zero
    const double to_below = std::fabs(double{x} - below), to_above = std::fabs(double{above} - x);
    if (to_below != to_above) return to_below < to_above ? below : above;
    return (bits >> 16U) % 2 == 0 ? below : above;
}

TEST(RoundToBfloat16, TakesTheNearestAndTheEvenOneOfTwo) {
    Owned x({61, 67}, DType::float32), wide({61, 67}, DType::float32), half({61, 67}, DType::bfloat16);
    const Owned normal = normals({61, 67}, DType::float32, 1);
    for (std::int64_t i = 0; i < x.count(); ++i) {
        x.set(i, normal.get(i) * std::ldexp(1.0, static_cast<int>(i % 200) - 100));
        if (i % 3 == 0) {  // exactly between two
            const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(x.get(i)));
            x.set(i, std::bit_cast<float>((bits & 0xFFFF0000U) | 0x8000U));
        }
    }
    round_to_bfloat16({x, wide});
    round_to_bfloat16({x, half});
    for (std::int64_t i = 0; i < x.count(); ++i) {
        const float expected = nearest(static_cast<float>(x.get(i)));
        ASSERT_EQ(wide.get(i), expected) << x.get(i);
        ASSERT_EQ(half.tensor().as<bfloat16_t>()[i].bits, std::bit_cast<std::uint32_t>(expected) >> 16U) << x.get(i);
    }
}

TEST(RoundToBfloat16, KeepsWhatIsNotFinite) {
    const auto quiet_only_below = std::bit_cast<float>(0x7F800001U);
    const std::vector<float> values = {0.0F,
                                       -0.0F,
                                       std::numeric_limits<float>::infinity(),
                                       -std::numeric_limits<float>::infinity(),
                                       std::numeric_limits<float>::quiet_NaN(),
                                       quiet_only_below,
                                       std::numeric_limits<float>::max(),
                                       std::numeric_limits<float>::denorm_min()};
    std::vector<float> from = values, to(values.size());
    const Shape shape = {1, static_cast<std::int64_t>(values.size())};
    round_to_bfloat16({Tensor(from.data(), shape, DType::float32), Tensor(to.data(), shape, DType::float32)});
    EXPECT_TRUE(to[0] == 0.0F && !std::signbit(to[0]));
    EXPECT_TRUE(to[1] == 0.0F && std::signbit(to[1]));
    EXPECT_EQ(to[2], values[2]);
    EXPECT_EQ(to[3], values[3]);
    EXPECT_TRUE(std::isnan(to[4]));
    EXPECT_TRUE(std::isnan(to[5]));
    EXPECT_TRUE(std::isinf(to[6]));  // nearer to the next power of two than to the largest bfloat16
    EXPECT_EQ(to[7], 0.0F);
}

TEST(RoundToBfloat16, ReadsRowsThatLieApart) {
    const Owned wide = normals({5, 9}, DType::float32, 1);
    Owned y({5, 4}, DType::float32);
    round_to_bfloat16({wide.tensor().slice(1, 3, 7), y});
    for (std::int64_t row = 0; row < 5; ++row) {
        for (std::int64_t column = 0; column < 4; ++column)
            EXPECT_EQ(y.get(row, column), nearest(static_cast<float>(wide.get(row, column + 3))));
    }
}

TEST(RoundToBfloat16, GivesOnAGpuWhatItGivesOnTheProcessor) {
    const auto solved = [](DType dtype) {
        Owned x = normals({7, 300}, DType::float32, 1), y({7, 290}, dtype);
        const std::vector<std::uint32_t> bits = {0x7F800001U, 0xFFC00000U, 0x7F800000U, 0xFF800000U, 0x7F7FFFFFU,
                                                 0x80000000U, 0x00000001U, 0x3F808000U, 0x3F818000U, 0x3F818001U};
        for (std::size_t i = 0; i < bits.size(); ++i) x.tensor().as<float>()[10 + i] = std::bit_cast<float>(bits[i]);
        round_to_bfloat16({x.tensor().slice(1, 5, 295), y});
        return y;
    };
    for (const DType dtype : {DType::float32, DType::bfloat16}) {
        const Owned expected = solved(dtype);
        on_each_gpu([&] { EXPECT_TRUE(identical("y", solved(dtype), expected)); });
    }
}

TEST(RoundToBfloat16, RoundsEightAtOnceOnAGpu) {
    const auto solved = [](DType dtype) {
        const Owned x = normals({7, 304}, DType::float32, 1), y({7, 288}, dtype);
        round_to_bfloat16({x.tensor().slice(1, 8, 296), y});
        return y;
    };
    for (const DType dtype : {DType::float32, DType::bfloat16}) {
        const Owned expected = solved(dtype);
        on_each_gpu([&] { EXPECT_TRUE(identical("y", solved(dtype), expected)); });
    }
}

TEST(RoundToBfloat16, RefusesOtherTypesAndShapes) {
    const Owned x({2, 3}, DType::float64), y({2, 3}, DType::bfloat16), other({3, 2}, DType::bfloat16);
    EXPECT_THROW(round_to_bfloat16({x, y}), std::logic_error);
    EXPECT_THROW(round_to_bfloat16({Owned({2, 3}, DType::float32), other}), std::logic_error);
    EXPECT_THROW(round_to_bfloat16({Owned({2, 3}, DType::float32), x}), std::logic_error);
}

}  // namespace
}  // namespace locus::test
