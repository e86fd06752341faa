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

ModelSettings transformer_xl(std::int64_t max_distance, bool untied) {
    ModelSettings settings = small_settings("transformer_xl");
    settings.position[0].options["max_distance"] = max_distance;
    settings.position[0].options["untied"] = untied;
    return settings;
}

// The key table of the first layer with W the identity: the waves themselves.
std::vector<double> waves(std::int64_t max_distance, std::int32_t length) {
    const ModelSettings settings = transformer_xl(max_distance, false);
    Parameters parameters(DType::float64);
    const auto encoding = find_encoding("transformer_xl")->make(settings, settings.position[0]);
    encoding->declare_encoder_parameters(parameters, "");
    encoding->declare_layer_parameters(parameters, "");
    parameters.allocate();
    for (int c = 0; c < 6; ++c) parameters.find("position_key.weight")->value.as<double>()[c * 6 + c] = 1;
    const RaggedBatch batch({length}, 11);
    Arena arena;
    Tape tape(arena);
    AttentionScore score;
    score.dtype = DType::float64;
    encoding->relate(tape, {}, batch.input, score);
    EXPECT_EQ(score.content_bias.shape(), (Shape{2, 3}));
    EXPECT_EQ(score.key_table.row_of_distance.count(), score.key_table.table.shape()[0]);
    const Tensor table = score.key_table.table.value();
    return {table.as<double>(), table.as<double>() + table.count()};
}

TEST(TransformerXl, RowsAreWavesOfQueryMinusKey) {
    const std::vector<double> table = waves(0, 5);
    ASSERT_EQ(table.size(), 9U * 6U);
    for (int r = -4; r <= 4; ++r) {
        for (int pair = 0; pair < 3; ++pair) {
            const double angle = r * std::pow(10000.0, -2.0 * pair / 6.0);
            const double* const wave = table.data() + (r + 4) * 6 + 2 * pair;
            EXPECT_NEAR(wave[0], std::sin(angle), 1e-15);
            EXPECT_NEAR(wave[1], std::cos(angle), 1e-15);
        }
    }
}

TEST(TransformerXl, FurtherThanMaxDistanceTheOutermostVectorStands) {
    const std::vector<double> all = waves(0, 7), clamped = waves(2, 7);
    ASSERT_EQ(clamped.size(), 5U * 6U);
    for (std::size_t n = 0; n < clamped.size(); ++n) EXPECT_NEAR(clamped[n], all[4 * 6 + n], 1e-15);
    EXPECT_EQ(waves(100, 7), all);
}

// The score of one pair, term by term, against the attention.
TEST(TransformerXl, TheScoreIsTheFormula) {
    const ModelSettings settings = transformer_xl(0, false);
    Parameters parameters(DType::float64);
    const auto encoding = find_encoding("transformer_xl")->make(settings, settings.position[0]);
    encoding->declare_encoder_parameters(parameters, "");
    encoding->declare_layer_parameters(parameters, "");
    parameters.allocate();
    testing::fill_random(parameters.values().as<double>(), parameters.count(), 5);
    const double *const u = parameters.find("content_bias")->value.as<double>(),
                        *const v = parameters.find("position_bias")->value.as<double>(),
                        *const w = parameters.find("position_key.weight")->value.as<double>();
    const RaggedBatch batch({2}, 11);
    std::vector<double> x(2 * 18);
    testing::fill_random(x.data(), 36, 6);
    Arena arena;
    Tape tape(arena);
    AttentionScore score;
    score.dtype = DType::float64;
    score.scale = 0.7;
    encoding->relate(tape, {}, batch.input, score);
    const Var qkv = tape.constant(Tensor(x.data(), {2, 18}, DType::float64));
    const Tensor out =
        attention(tape, {qkv, 0}, {qkv, 6}, {qkv, 12}, 2, 3, batch.input.rows, batch.input.rows, score).value();
    const double* const q = x.data();  // of row 0; k and the value follow, then row 1
    for (int h = 0; h < 2; ++h) {
        double weight[2];
        for (int j = 0; j < 2; ++j) {  // of query 0
            double sum = 0;
            for (int c = 3 * h; c < 3 * h + 3; ++c) {
                double projected = 0;
                for (int e = 0; e < 6; ++e) {
                    const double angle = -j * std::pow(10000.0, -2.0 * (e / 2) / 6.0);
                    projected += w[c * 6 + e] * (e % 2 == 0 ? std::sin(angle) : std::cos(angle));
                }
                sum += (q[c] + u[c]) * q[18 * j + 6 + c] + (q[c] + v[c]) * projected;
            }
            weight[j] = std::exp(0.7 * sum);
        }
        for (int c = 3 * h; c < 3 * h + 3; ++c) {
            const double expected = (weight[0] * q[12 + c] + weight[1] * q[30 + c]) / (weight[0] + weight[1]);
            EXPECT_NEAR(out.as<double>()[c], expected, 1e-13);
        }
    }
}

TEST(TransformerXl, OutputsDoNotChangeWhenAllPositionsShift) {
    const auto model = perturbed_model(transformer_xl(0, false));
    RaggedBatch batch({5}, 11);
    const std::vector<double> before = encode(*model, batch.input);
    for (std::int32_t& position : batch.positions) position += 1000;
    batch.refresh();
    EXPECT_LE(largest_difference(encode(*model, batch.input), before), 1e-13);
}

TEST(TransformerXl, UntiedHasGlobalVectorsForEachLayer) {
    const auto model = perturbed_model(transformer_xl(0, true));
    EXPECT_EQ(model->parameters().find("bert.encoder.content_bias"), nullptr);
    const RaggedBatch batch({5}, 11);
    const std::vector<double> before = encode(*model, batch.input);
    model->parameters().find("bert.encoder.layer.1.attention.self.position_bias")->value.as<double>()[0] += 1;
    EXPECT_GT(largest_difference(encode(*model, batch.input), before), 1e-6);
    const MaskedLanguageModel tied(transformer_xl(0, false), DType::float32);
    EXPECT_EQ(model->parameters().count() - tied.parameters().count(), 2 * 6);
}

TEST(TransformerXl, RefusesANegativeDistanceAndASecondGlobalVector) {
    EXPECT_THROW(make_encodings(transformer_xl(-1, false)), ModelError);
    ModelSettings settings = transformer_xl(0, false);
    settings.position.push_back(default_position("shaw"));
    EXPECT_THROW(make_encodings(settings), ModelError);
}

}  // namespace
}  // namespace locus
