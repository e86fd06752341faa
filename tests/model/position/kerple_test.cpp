#include <gtest/gtest.h>

#include "tests/model/small_model.h"

namespace locus {
namespace {

using testing::encode;
using testing::RaggedBatch;
using testing::small_settings;

PositionSettings kerple(const char* kernel, bool is_signed, bool per_layer = false) {
    PositionSettings position = default_position("kerple");
    position.options["kernel"] = std::string(kernel);
    position.options["signed"] = is_signed;
    position.options["per_layer"] = per_layer;
    return position;
}

// The second head's bias at i - j = -(length - 1) .. length - 1, with A and P as given, one row per side.
std::vector<double> bias(const PositionSettings& position, std::vector<double> a, std::vector<double> p,
                         std::int32_t length) {
    const ModelSettings settings = small_settings("kerple");  // two heads
    Parameters parameters(DType::float64);
    const auto encoding = find_encoding("kerple")->make(settings, position);
    encoding->declare_encoder_parameters(parameters, "");
    parameters.allocate();
    for (std::size_t side = 0; side < a.size(); ++side) {
        parameters.find("position_bias.a")->value.as<double>()[side * 2 + 1] = a[side];
        parameters.find("position_bias.p")->value.as<double>()[side * 2 + 1] = p[side];
    }
    const RaggedBatch batch({length}, 11);
    Arena arena;
    Tape tape(arena);
    AttentionScore score;
    encoding->relate(tape, {}, batch.input, score);
    const Tensor value = score.biases[0].value();
    EXPECT_EQ(value.shape, (Shape{2, 2 * length - 1}));
    const double* const row = value.as<double>() + (2 * length - 1);
    return {row, row + 2 * length - 1};
}

double inverse_softplus(double y) { return std::log(std::expm1(y)); }

void expect_near(const std::vector<double>& got, const std::vector<double>& expected) {
    ASSERT_EQ(got.size(), expected.size());
    for (std::size_t n = 0; n < got.size(); ++n) EXPECT_NEAR(got[n], expected[n], 1e-14) << n;
}

TEST(Kerple, TheLogarithmOfThreeDistancesByHand) {
    const double a = inverse_softplus(1), p = inverse_softplus(2);
    expect_near(bias(kerple("log", false), {a}, {p}, 4), {-2 * std::log(4.0), -2 * std::log(3.0), -2 * std::log(2.0), 0,
                                                          -2 * std::log(2.0), -2 * std::log(3.0), -2 * std::log(4.0)});
}

TEST(Kerple, ThePowerOfThreeDistancesByHand) {
    const double a = inverse_softplus(0.5), half = std::log(1.0 / 3.0);  // 2 / (1 + 3) = 1 / 2
    const double r2 = std::sqrt(2.0), r3 = std::sqrt(3.0);
    expect_near(bias(kerple("power", false), {a}, {half}, 4),
                {-0.5 * r3, -0.5 * r2, -0.5, 0, -0.5, -0.5 * r2, -0.5 * r3});
}

TEST(Kerple, ThePowerOneIsAlibi) {
    const double slope = inverse_softplus(0.0625);
    expect_near(bias(kerple("power", false), {slope}, {0}, 3), {-0.125, -0.0625, 0, -0.0625, -0.125});
}

TEST(Kerple, TheFirstSideIsTheLeftOne) {
    // r = i - j > 0: the key stands to the left.
    const double one = inverse_softplus(1), two = inverse_softplus(2), three = inverse_softplus(3);
    expect_near(bias(kerple("log", true), {one, three}, {two, one}, 3),
                {-std::log(7.0), -std::log(4.0), 0, -2 * std::log(2.0), -2 * std::log(3.0)});
}

TEST(Kerple, NumbersOfAnySizeGiveAFallingFiniteCurve) {
    for (const char* kernel : {"log", "power"}) {
        for (const double raw : {-800.0, -30.0, 0.0, 30.0, 800.0}) {
            const std::vector<double> curve = bias(kerple(kernel, false), {raw}, {-raw}, 2000);
            for (std::size_t n = 2000; n < curve.size(); ++n) {
                ASSERT_TRUE(std::isfinite(curve[n])) << kernel << " " << raw;
                ASSERT_LE(curve[n], curve[n - 1]) << kernel << " " << raw;
            }
        }
    }
}

TEST(Kerple, UnsignedIsBlindToTheDirection) {
    const auto reversal_error = [](bool is_signed) {
        ModelSettings settings = small_settings("kerple");
        settings.position[0] = kerple("log", is_signed);
        const auto model = testing::perturbed_model(settings);
        RaggedBatch forward({5}, 11), backward({5}, 11);
        forward.types.assign(5, 0);
        backward.types.assign(5, 0);
        std::reverse(backward.ids.begin(), backward.ids.end());
        forward.refresh();
        backward.refresh();
        const std::vector<double> a = encode(*model, forward.input), b = encode(*model, backward.input);
        std::vector<double> reversed;
        for (int row = 4; row >= 0; --row)
            reversed.insert(reversed.end(), b.begin() + row * 6, b.begin() + row * 6 + 6);
        return testing::largest_difference(a, reversed);
    };
    EXPECT_LE(reversal_error(false), 1e-12);
    EXPECT_GT(reversal_error(true), 1e-3);
}

TEST(Kerple, PerLayerHasCurvesForEachLayer) {
    ModelSettings settings = small_settings("kerple");
    settings.position[0] = kerple("log", true, true);
    const auto model = testing::perturbed_model(settings);
    EXPECT_NE(model->parameters().find("bert.encoder.layer.1.attention.self.position_bias.a"), nullptr);
    EXPECT_EQ(model->parameters().find("bert.encoder.position_bias.a"), nullptr);
    const RaggedBatch batch({5}, 11);
    const std::vector<double> before = encode(*model, batch.input);
    model->parameters().find("bert.encoder.layer.1.attention.self.position_bias.p")->value.as<double>()[0] += 1;
    EXPECT_GT(testing::largest_difference(encode(*model, batch.input), before), 1e-6);
    testing::expect_gradients_match(
        model->parameters(),
        [&](Tape& tape) { return model->logits(tape, model->encode(tape, batch.input, {}), batch.input, {}); },
        testing::key_biases(*model));
}

TEST(Kerple, HeadsStartAtDifferentRangesAndAreNotDecayed) {
    ModelSettings settings = small_settings("kerple");
    MaskedLanguageModel model(settings, DType::float64);
    model.initialize(1);
    const Parameter& a = *model.parameters().find("bert.encoder.position_bias.a");
    EXPECT_FALSE(a.decay);
    EXPECT_GT(std::abs(a.value.as<double>()[0] - a.value.as<double>()[1]), 0.05);
    for (std::int64_t n = 0; n < a.value.count(); ++n) EXPECT_LE(std::abs(a.value.as<double>()[n]), 1);
}

}  // namespace
}  // namespace locus
