#include <gtest/gtest.h>

#include "model/error.h"
#include "tests/model/small_model.h"

namespace locus {
namespace {

using testing::encode;
using testing::RaggedBatch;
using testing::small_settings;

// The bias of the first of two heads at i - j = -(length - 1) .. length - 1: one hidden unit, w1 x + 2 (positive throughout), then w2.
std::vector<double> bias(const char* distance, std::int32_t length, double w1, double w2) {
    ModelSettings settings = small_settings("log_cpb");  // max_length 8
    settings.position[0].options["hidden_units"] = std::int64_t{1};
    settings.position[0].options["distance"] = std::string(distance);
    Parameters parameters(DType::float64);
    const auto encoding = find_encoding("log_cpb")->make(settings, settings.position[0]);
    encoding->declare_encoder_parameters(parameters, "");
    parameters.allocate();
    parameters.find("position_bias.hidden.weight")->value.as<double>()[0] = w1;
    parameters.find("position_bias.hidden.bias")->value.as<double>()[0] = 2;
    parameters.find("position_bias.output.weight")->value.as<double>()[0] = w2;
    const RaggedBatch batch({length}, 11);
    Arena arena;
    Tape tape(arena);
    AttentionScore score;
    score.dtype = DType::float64;
    encoding->relate(tape, {}, batch.input, score);
    const double* const row = score.biases[0].value().as<double>();
    return {row, row + 2 * length - 1};
}

// What the network was given, from what came out.
double place(double bias) { return std::log(bias / (16 - bias)) - 2; }

TEST(LogCpb, DistancesAreLogarithmsWithASign) {
    const std::vector<double> got = bias("log", 8, 1, 1);
    for (int d = -7; d <= 7; ++d) {  // key minus query
        const double expected = (d < 0 ? -1 : 1) * std::log2(1 + 8 * std::abs(d) / 7.0) / 3;
        EXPECT_NEAR(place(got[static_cast<std::size_t>(7 - d)]), expected, 1e-13) << d;
    }
    EXPECT_NEAR(place(got[0]), std::log2(9.0) / 3, 1e-13);                     // the end of the training length: 1.06
    EXPECT_NEAR(place(bias("log", 15, 1, 1)[0]), std::log2(17.0) / 3, 1e-13);  // twice as far: 1.36
}

TEST(LogCpb, LinearDistancesAreShares) {
    const std::vector<double> got = bias("linear", 15, 1, 1);
    for (int d = -14; d <= 14; ++d) EXPECT_NEAR(place(got[static_cast<std::size_t>(14 - d)]), d / 7.0, 1e-13) << d;
}

TEST(LogCpb, TheBiasStaysBetweenZeroAndSixteen) {
    for (const double w2 : {-400.0, 400.0}) {
        for (const double value : bias("log", 200, 0.5, w2)) EXPECT_NEAR(value, w2 > 0 ? 16 : 0, 1e-9);
    }
    EXPECT_DOUBLE_EQ(bias("log", 2, 1, 0)[0], 8);
}

TEST(LogCpb, HasOneNetworkPerLayerIfAsked) {
    ModelSettings settings = small_settings("log_cpb");
    settings.position[0].options["hidden_units"] = std::int64_t{5};
    const std::int64_t baseline = MaskedLanguageModel(small_settings("none"), DType::float32).parameters().count();
    EXPECT_EQ(MaskedLanguageModel(settings, DType::float32).parameters().count() - baseline, 5 * 4);
    settings.position[0].options["per_layer"] = true;
    const auto model = testing::perturbed_model(settings);
    EXPECT_EQ(model->parameters().count() - baseline, 2 * 5 * 4);
    const RaggedBatch batch({5}, 11);
    const std::vector<double> before = encode(*model, batch.input);
    const std::string name = "bert.encoder.layer.1.attention.self.position_bias.output.weight";
    for (int n = 0; n < 10; ++n) model->parameters().find(name)->value.as<double>()[n] += 1;
    EXPECT_GT(testing::largest_difference(encode(*model, batch.input), before), 1e-6);
}

TEST(LogCpb, RefusesWhatCannotBe) {
    ModelSettings settings = small_settings("log_cpb");
    settings.position[0].options["hidden_units"] = std::int64_t{0};
    EXPECT_THROW(make_encodings(settings), ModelError);
    settings = small_settings("log_cpb");
    settings.max_length = 1;
    EXPECT_THROW(make_encodings(settings), ModelError);
}

}  // namespace
}  // namespace locus
