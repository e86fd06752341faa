#include "kernels/dropout.h"

#include <cmath>
#include <limits>
#include <stdexcept>

#include "kernels/random.h"
#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

constexpr Dropout tenth = {.probability = 0.1F, .seed = 5, .site = stream_dropout + 3, .step = 17};

// dropout.h in the plainest words.
Owned straightforward(const Owned& x, const Dropout& dropout, const Owned& sequence, const Owned& position) {
    const double threshold = std::round(65536.0 * static_cast<double>(dropout.probability));
    Owned y = x;
    for (std::int64_t r = 0; r < x.shape()[0]; ++r) {
        for (std::int64_t c = 0; c < x.shape()[1]; ++c) {
            const Philox4 words =
                philox({dropout.seed, dropout.site},
                       {static_cast<std::uint32_t>(c / 8), static_cast<std::uint32_t>(position.get(r)),
                        static_cast<std::uint32_t>(sequence.get(r)), dropout.step});
            const std::uint32_t word = words[static_cast<std::size_t>(c % 8 / 2)];
            const std::uint32_t bits = c % 2 == 0 ? word & 0xffffU : word >> 16U;
            const double value = bits >= threshold ? x.get(r, c) * (65536.0 / (65536.0 - threshold)) : 0.0;
            y.set(r * x.shape()[1] + c, value);
        }
    }
    return y;
}

class DropoutOf : public ::testing::TestWithParam<std::int64_t> {};

TEST_P(DropoutOf, FollowsItsDefinition) {
    for (DType dtype : {DType::float32, DType::float64}) {
        const Owned x = normals({7, GetParam()}, dtype, 1);
        Owned y = filled(x.shape(), dtype, std::numeric_limits<double>::quiet_NaN());
        const Owned sequence = int32s({4, 4, 4, 9, 9, 2, 0}), position = int32s({0, 1, 2, 0, 511, 3, 100000});
        dropout_forward({x, y, tenth, {sequence, position}});
        EXPECT_TRUE(
            close("y", y, straightforward(x, tenth, sequence, position), 0.0, dtype == DType::float32 ? 1e-7 : 1e-15));
    }
}

TEST_P(DropoutOf, GivesOnAGpuWhatItGivesOnTheProcessor) {
    const Shape shape = {7, GetParam()};
    for (const DType dtype : {DType::float32, DType::bfloat16}) {
        Owned wide = converted(normals(shape, dtype, 1), DType::float32);
        dropout_forward({wide, wide, tenth, {counting(7, 100), counting(7)}});
        const Owned expected = converted(wide, dtype);
        on_each_gpu([&] {
            Owned x = normals(shape, dtype, 1), y(shape, dtype);
            const Owned sequence = counting(7, 100), position = counting(7);
            dropout_forward({x, y, {}, {}});
            EXPECT_TRUE(identical("off", y, x));
            dropout_forward({x, y, tenth, {sequence, position}});
            EXPECT_TRUE(identical("apart", y, expected));
            dropout_forward({x, x, tenth, {sequence, position}});
            EXPECT_TRUE(identical("in place", x, expected));
        });
    }
}

INSTANTIATE_TEST_SUITE_P(Columns, DropoutOf, ::testing::Values(1, 3, 8, 17, 100, 128, 129, 257, 1000));

TEST(Dropout, KeepsTheRightShareAndTheMean) {
    for (float p : {0.1F, 0.5F, 0.9F}) {
        Dropout dropout = tenth;
        dropout.probability = p;
        const Owned x = filled({500, 1000}, DType::float64, 1.0), rows = counting(500);
        const Owned sequence = int32s(std::vector<std::int32_t>(500, 1));
        Owned y = x;
        dropout_forward({x, y, dropout, {sequence, rows}});
        double kept = 0.0, sum = 0.0;
        for (std::int64_t i = 0; i < y.count(); ++i) {
            kept += y.get(i) != 0.0 ? 1.0 : 0.0;
            sum += y.get(i);
        }
        const double n = static_cast<double>(y.count()), deviation = std::sqrt(p * (1.0 - p) / n);
        EXPECT_NEAR(kept / n, 1.0 - p, 5.0 * deviation + 1.0 / 65536.0);
        EXPECT_NEAR(sum / n, 1.0, 5.0 * deviation / (1.0 - p));
    }
}

TEST(Dropout, NeighbouringDecisionsAreUncorrelated) {
    const Owned x = filled({400, 512}, DType::float64, 1.0), rows = counting(400);
    const Owned sequence = int32s(std::vector<std::int32_t>(400, 1));
    Owned y = x;
    Dropout half = tenth;
    half.probability = 0.5F;
    dropout_forward({x, y, half, {sequence, rows}});
    for (std::int64_t distance : {1, 2, 7, 8, 512, 512 * 8}) {  // columns, blocks, rows
        double product = 0.0;
        const std::int64_t n = y.count() - distance;
        for (std::int64_t i = 0; i < n; ++i) product += (y.get(i) - 1.0) * (y.get(i + distance) - 1.0);
        EXPECT_NEAR(product / static_cast<double>(n), 0.0, 5.0 / std::sqrt(static_cast<double>(n))) << distance;
    }
}

TEST(Dropout, TheBackwardPassDrawsTheSameMask) {
    const Owned x = filled({9, 77}, DType::float32, 1.0), dy = normals({9, 77}, DType::float32, 2), rows = counting(9);
    Owned y = x, dx = dy;
    dropout_forward({x, y, tenth, {rows, rows}});
    dropout_forward({dy, dx, tenth, {rows, rows}});
    for (std::int64_t i = 0; i < y.count(); ++i) {
        EXPECT_EQ(dx.get(i) != 0.0, y.get(i) != 0.0) << i;
        EXPECT_NEAR(dx.get(i), dy.get(i) * y.get(i), 1e-6) << i;
    }
}

TEST(Dropout, ASequenceDrawsTheSameMaskInAnyMicroBatch) {
    const Owned x = normals({12, 50}, DType::float32, 1);
    const Owned sequence = int32s({7, 7, 7, 7, 8, 8, 8, 8, 8, 9, 9, 9}),
                position = int32s({0, 1, 2, 3, 0, 1, 2, 3, 4, 0, 1, 2});
    Owned whole = x, parts = x;
    dropout_forward({x, whole, tenth, {sequence, position}});
    for (const auto& [begin, end] : {std::pair{0, 4}, std::pair{4, 5}, std::pair{5, 12}}) {
        dropout_forward({x.tensor().slice(0, begin, end),
                         parts.tensor().slice(0, begin, end),
                         tenth,
                         {sequence.tensor().slice(0, begin, end), position.tensor().slice(0, begin, end)}});
    }
    EXPECT_TRUE(identical("parts", parts, whole));
}

TEST(Dropout, SeedSiteStepSequenceAndPositionEachChangeTheMask) {
    const Owned x = filled({1, 400}, DType::float32, 1.0);
    const auto mask = [&](Dropout dropout, std::int32_t sequence, std::int32_t position) {
        Owned y = x;
        dropout.probability = 0.5F;
        dropout_forward({x, y, dropout, {int32s({sequence}), int32s({position})}});
        return y;
    };
    const Owned base = mask(tenth, 1, 2);
    Dropout seed = tenth, site = tenth, step = tenth;
    ++seed.seed;
    ++site.site;
    ++step.step;
    for (const Owned& other :
         {mask(seed, 1, 2), mask(site, 1, 2), mask(step, 1, 2), mask(tenth, 2, 2), mask(tenth, 1, 3)}) {
        int equal = 0;
        for (std::int64_t i = 0; i < 400; ++i) equal += other.get(i) == base.get(i) ? 1 : 0;
        EXPECT_NEAR(equal, 200, 50);
    }
}

TEST(Dropout, WorksInPlaceAndCopiesWhenOff) {
    const Owned x = normals({5, 33}, DType::float32, 1), rows = counting(5);
    Owned apart = x, inside = x, copy = zeros({5, 33}, DType::float32);
    dropout_forward({x, apart, tenth, {rows, rows}});
    dropout_forward({inside, inside, tenth, {rows, rows}});
    EXPECT_TRUE(identical("in place", inside, apart));
    dropout_forward({x, copy, {}, {}});
    EXPECT_TRUE(identical("off", copy, x));
}

TEST(Dropout, ADroppedNaNIsZeroAndAKeptOneStays) {
    const Owned x = filled({1, 1000}, DType::float32, std::numeric_limits<double>::quiet_NaN());
    Owned y = x;
    dropout_forward({x, y, tenth, {int32s({0}), int32s({0})}});
    int zero = 0, not_a_number = 0;
    for (std::int64_t i = 0; i < 1000; ++i) {
        zero += y.get(i) == 0.0 ? 1 : 0;
        not_a_number += std::isnan(y.get(i)) ? 1 : 0;
    }
    EXPECT_NEAR(zero, 100, 50);
    EXPECT_EQ(zero + not_a_number, 1000);
    on_each_gpu([&] {
        const Owned nan = filled({1, 1000}, DType::float32, std::numeric_limits<double>::quiet_NaN());
        Owned got = nan;
        dropout_forward({nan, got, tenth, {int32s({0}), int32s({0})}});
        for (std::int64_t i = 0; i < 1000; ++i) EXPECT_EQ(std::isnan(got.get(i)), std::isnan(y.get(i))) << i;
    });
}

TEST(Dropout, BrokenContractsAreNamed) {
    const Owned x = normals({5, 33}, DType::float32, 1), rows = counting(5), few = counting(4);
    Owned y = x, narrow({5, 32}, DType::float32);
    Dropout one = tenth;
    one.probability = 1.0F;
    EXPECT_THROW(dropout_forward({x, y, one, {rows, rows}}), std::logic_error);
    EXPECT_THROW(dropout_forward({x, y, tenth, {rows, few}}), std::logic_error);
    EXPECT_THROW(dropout_forward({x, y, tenth, {}}), std::logic_error);
    EXPECT_THROW(dropout_forward({x, narrow, tenth, {rows, rows}}), std::logic_error);
}

TEST(Dropout, OfNoRowsDoesNothing) {
    const Owned x({0, 8}, DType::float32), none = counting(0);
    Owned y = x;
    EXPECT_NO_THROW(dropout_forward({x, y, tenth, {none, none}}));
    on_each_gpu([&] {
        const Owned nothing({0, 8}, DType::float32), no_rows = counting(0);
        EXPECT_NO_THROW(dropout_forward({nothing, nothing, tenth, {no_rows, no_rows}}));
    });
}

}  // namespace
}  // namespace locus::test
