#include <gtest/gtest.h>

#include "model/error.h"
#include "tests/model/small_model.h"

namespace locus {
namespace {

using testing::encode;
using testing::RaggedBatch;
using testing::small_settings;

PositionSettings fire(std::int64_t hidden_units, double slope, std::int64_t threshold, bool is_signed) {
    PositionSettings position = default_position("fire");
    position.options["hidden_units"] = hidden_units;
    position.options["slope"] = slope;
    position.options["threshold"] = threshold;
    position.options["signed"] = is_signed;
    return position;
}

// FIRE with one hidden unit and the first head's weight 1: its bias shows the distances themselves where they are positive.
std::vector<double> distances(const PositionSettings& position, std::int32_t length, double w1 = 1) {
    Parameters parameters(DType::float64);
    const auto encoding = find_encoding("fire")->make(small_settings("fire"), position);
    encoding->declare_encoder_parameters(parameters, "");
    parameters.allocate();
    parameters.initialize(1, 0.02);
    parameters.find("position_bias.hidden.weight")->value.as<double>()[0] = w1;
    parameters.find("position_bias.hidden.bias")->value.as<double>()[0] = 0;
    parameters.find("position_bias.output.weight")->value.as<double>()[0] = 1;
    const RaggedBatch batch({length}, 11);
    Arena arena;
    Tape tape(arena);
    AttentionScore score;
    encoding->relate(tape, {}, batch.input, score);
    const double* const row = score.biases[0].value().as<double>();
    return {row, row + 2 * length - 1};
}

double psi(double c, double s) { return std::log(1 + c * s); }

TEST(Fire, DistancesAreSharesOfTheThreshold) {
    const double end = psi(0.5, 8) + 1e-6;  // threshold 0 is model.max_length, 8 here
    const std::vector<double> seen = distances(fire(1, 0.5, 0, true), 4);
    const double expected[] = {psi(0.5, 3) / end, psi(0.5, 2) / end, psi(0.5, 1) / end, 0, 0, 0, 0};
    for (std::size_t n = 0; n < 7; ++n) EXPECT_NEAR(seen[n], expected[n], 1e-15) << n;
    // i - j < 0, a key to the right, is the positive side; the other one shows through a weight of -1.
    const std::vector<double> left = distances(fire(1, 0.5, 0, true), 4, -1);
    for (std::size_t n = 0; n < 7; ++n) EXPECT_NEAR(left[n], expected[6 - n], 1e-15) << n;
    const std::vector<double> both = distances(fire(1, 0.5, 0, false), 4);
    for (std::size_t n = 0; n < 7; ++n) EXPECT_NEAR(both[n], std::max(expected[n], expected[6 - n]), 1e-15) << n;
}

TEST(Fire, TheFarEndOfALongSequenceIsWhereTheThresholdWas) {
    const std::vector<double> trained = distances(fire(1, 0.1, 31, true), 32),
                              longer = distances(fire(1, 0.1, 31, true), 512);
    EXPECT_NEAR(trained[0], 1, 1e-6);
    EXPECT_NEAR(longer[0], 1, 1e-6);
    for (const double x : longer) EXPECT_LE(x, 1);
    EXPECT_LT(longer[511 - 10], trained[31 - 10]);  // and ten tokens are a smaller share of it
}

TEST(Fire, ShorterThanTheThresholdABiasDependsOnTheDistanceAlone) {
    const std::vector<double> four = distances(fire(1, 0.1, 40, true), 4), ten = distances(fire(1, 0.1, 40, true), 10);
    for (std::size_t n = 0; n < 7; ++n) EXPECT_EQ(four[n], ten[n + 6]);
}

TEST(Fire, PerLayerHasANetworkForEachLayer) {
    ModelSettings settings = small_settings("fire");
    settings.position[0].options["per_layer"] = true;
    settings.position[0].options["hidden_units"] = std::int64_t{3};
    const auto model = testing::perturbed_model(settings);
    const std::int64_t baseline = MaskedLanguageModel(small_settings("none"), DType::float32).parameters().count();
    EXPECT_EQ(model->parameters().count() - baseline, 2 * (3 * 4 + 2));
    const RaggedBatch batch({5}, 11);
    const std::vector<double> before = encode(*model, batch.input);
    model->parameters().find("bert.encoder.layer.1.attention.self.position_bias.slope")->value.as<double>()[0] += 1;
    EXPECT_GT(testing::largest_difference(encode(*model, batch.input), before), 1e-9);
}

TEST(Fire, RefusesWhatCannotBe) {
    const ModelSettings settings = small_settings("fire");
    const auto* entry = find_encoding("fire");
    EXPECT_THROW(entry->make(settings, fire(0, 0.1, 0, true)), ModelError);
    EXPECT_THROW(entry->make(settings, fire(4, 0.0, 0, true)), ModelError);
    EXPECT_THROW(entry->make(settings, fire(4, 0.1, -1, true)), ModelError);
    EXPECT_NO_THROW(entry->make(settings, fire(1, 0.1, 1, false)));
}

}  // namespace
}  // namespace locus
