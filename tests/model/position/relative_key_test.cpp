#include <gtest/gtest.h>

#include "model/error.h"
#include "tests/model/small_model.h"

namespace locus {
namespace {

using testing::encode;
using testing::largest_difference;
using testing::perturbed_model;
using testing::RaggedBatch;
using testing::small_settings;

TEST(RelativeKey, RowOfADistanceIsQueryMinusKeyFromTheMostNegative) {
    const ModelSettings settings = small_settings("relative_key");
    const auto model = perturbed_model(settings);
    const RaggedBatch batch({5}, 11);
    Arena arena;
    // Only the distances -4 .. 4 occur: rows 3 .. 11 of 15 get a gradient, and no other.
    Tape tape(arena);
    const Var encoded = model->encode(tape, batch.input, {});
    std::vector<double> seed(30);
    testing::fill_random(seed.data(), 30, 8);
    model->parameters().zero_gradients();
    tape.backward(encoded, Tensor(seed.data(), {5, 6}, DType::float64));
    const Parameter& table = *model->parameters().find("bert.encoder.layer.0.attention.self.distance_embedding.weight");
    ASSERT_EQ(table.gradient.shape, (Shape{15, 3}));
    for (std::int64_t row = 0; row < 15; ++row) {
        double sum = 0;
        for (int c = 0; c < 3; ++c) sum += std::abs(table.gradient.as<double>()[row * 3 + c]);
        EXPECT_EQ(sum > 0, row >= 3 && row <= 11) << row;
    }
}

TEST(RelativeKey, OutputsDoNotChangeWhenAllPositionsShift) {
    const auto model = perturbed_model(small_settings("relative_key"));
    RaggedBatch batch({5}, 11);
    const std::vector<double> before = encode(*model, batch.input);
    for (std::int32_t& position : batch.positions) position += 1000;
    batch.refresh();
    EXPECT_EQ(largest_difference(encode(*model, batch.input), before), 0.0);
}

TEST(RelativeKey, KnowsLeftFromRight) {
    const auto model = perturbed_model(small_settings("relative_key"));
    RaggedBatch forward({5}, 11), backward({5}, 11);
    forward.types.assign(5, 0);
    backward.types.assign(5, 0);
    std::reverse(backward.ids.begin(), backward.ids.end());
    forward.refresh();
    backward.refresh();
    const std::vector<double> a = encode(*model, forward.input), b = encode(*model, backward.input);
    std::vector<double> reversed;
    for (int row = 4; row >= 0; --row) reversed.insert(reversed.end(), b.begin() + row * 6, b.begin() + row * 6 + 6);
    EXPECT_GT(largest_difference(a, reversed), 1e-3);
}

TEST(RelativeKey, BeyondErrorRefusesAndClipTakesTheOutermostRow) {
    ModelSettings settings = small_settings("relative_key");
    settings.position[0].options["beyond"] = std::string("error");
    EXPECT_THROW(encode(*perturbed_model(settings), RaggedBatch({9}, 11).input), ModelError);
    // A table of twice the length whose outer rows repeat the outermost of the short one computes the same.
    ModelSettings longer = small_settings("relative_key");
    longer.max_length = 16;
    const auto clipped = perturbed_model(small_settings("relative_key")), wide = perturbed_model(longer);
    for (const Parameter& parameter : clipped->parameters().all()) {
        const Parameter& other = *wide->parameters().find(parameter.name);
        const bool is_table = parameter.name.find("distance_embedding") != std::string::npos;
        if (!is_table) {
            std::copy_n(parameter.value.as<double>(), parameter.value.count(), other.value.as<double>());
            continue;
        }
        for (std::int64_t row = 0; row < 31; ++row) {
            const std::int64_t near = std::clamp<std::int64_t>(row - 8, 0, 14);
            std::copy_n(parameter.value.as<double>() + near * 3, 3, other.value.as<double>() + row * 3);
        }
    }
    const RaggedBatch batch({14}, 11);
    EXPECT_LE(largest_difference(encode(*clipped, batch.input), encode(*wide, batch.input)), 1e-12);
}

}  // namespace
}  // namespace locus
