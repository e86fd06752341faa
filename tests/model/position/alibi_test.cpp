#include <gtest/gtest.h>

#include "tests/model/small_model.h"

namespace locus {
namespace {

using testing::RaggedBatch;
using testing::small_settings;

// Bias of each head at i - j = -(length - 1) .. length - 1.
std::vector<std::vector<double>> biases(std::int64_t heads, const std::string& sides, std::int32_t length) {
    ModelSettings settings = small_settings("alibi");
    settings.heads = heads;
    PositionSettings position = default_position("alibi");
    position.options["sides"] = sides;
    const auto encoding = find_encoding("alibi")->make(settings, position);
    const RaggedBatch batch({length}, 11);
    Arena arena;
    Tape tape(arena);
    AttentionScore score;
    score.dtype = DType::float64;
    encoding->relate(tape, {}, batch.input, score);
    const Tensor bias = score.biases[0].value();
    std::vector<std::vector<double>> result;
    for (std::int64_t h = 0; h < heads; ++h) {
        const double* const row = bias.as<double>() + h * (2 * length - 1);
        result.emplace_back(row, row + 2 * length - 1);
    }
    return result;
}

TEST(Alibi, SlopesAreThePapersForPowersOfTwoAndInterleavedElse) {
    const auto slopes = [](std::int64_t heads) {
        std::vector<double> result;
        for (const auto& head : biases(heads, "symmetric", 2)) result.push_back(-head[0]);
        return result;
    };
    EXPECT_EQ(slopes(4), (std::vector<double>{0.25, 0.0625, 0.015625, 0.00390625}));
    EXPECT_EQ(slopes(6), (std::vector<double>{0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125}));
    const std::vector<double> twelve = slopes(12);
    EXPECT_NEAR(twelve[8], std::sqrt(0.5), 1e-15);
    EXPECT_NEAR(twelve[11], std::pow(2.0, -3.5), 1e-15);
}

TEST(Alibi, EachKindOfSidesIsWhatItSays) {
    const double m = 0.0625;  // the first of two heads; the second has m * m
    EXPECT_EQ(biases(2, "symmetric", 3)[0], (std::vector<double>{-2 * m, -m, 0, -m, -2 * m}));
    EXPECT_EQ(biases(2, "offset", 3)[0], (std::vector<double>{-2 * m, -m, 0, -m + m / 2, -2 * m + m / 2}));
    EXPECT_EQ(biases(2, "two_slopes", 3)[0], (std::vector<double>{-2 * m * m, -m * m, 0, -m, -2 * m}));
    EXPECT_EQ(biases(2, "one_sided", 3)[0], (std::vector<double>{-1e9, -1e9, 0, -m, -2 * m}));
    EXPECT_EQ(biases(2, "one_sided", 3)[1], (std::vector<double>{-2 * m * m, -m * m, 0, -1e9, -1e9}));
}

TEST(Alibi, AOneSidedHeadDoesNotSeeTheOtherSide) {
    ModelSettings settings = small_settings("alibi");
    settings.layers = 1;
    settings.heads = 1;  // it looks left
    settings.position[0].options["sides"] = std::string("one_sided");
    const auto model = testing::perturbed_model(settings);
    RaggedBatch batch({5}, 11);
    const std::vector<double> before = testing::encode(*model, batch.input);
    batch.ids[4] = batch.ids[4] == 7 ? 8 : 7;
    const std::vector<double> after = testing::encode(*model, batch.input);
    for (std::size_t n = 0; n < 24; ++n) EXPECT_EQ(before[n], after[n]);
    EXPECT_NE(before[24], after[24]);
}

TEST(Alibi, SymmetricIsBlindToTheDirection) {
    const auto model = testing::perturbed_model(small_settings("alibi"));
    RaggedBatch forward({5}, 11), backward({5}, 11);
    forward.types.assign(5, 0);
    backward.types.assign(5, 0);
    std::reverse(backward.ids.begin(), backward.ids.end());
    forward.refresh();
    backward.refresh();
    const std::vector<double> a = testing::encode(*model, forward.input), b = testing::encode(*model, backward.input);
    std::vector<double> reversed;
    for (int row = 4; row >= 0; --row) reversed.insert(reversed.end(), b.begin() + row * 6, b.begin() + row * 6 + 6);
    EXPECT_LE(testing::largest_difference(a, reversed), 1e-12);
}

}  // namespace
}  // namespace locus
