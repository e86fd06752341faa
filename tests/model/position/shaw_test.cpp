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

ModelSettings shaw(std::int64_t max_distance, bool values, const char* vectors = "learned") {
    ModelSettings settings = small_settings("shaw");
    settings.position[0].options["max_distance"] = max_distance;
    settings.position[0].options["values"] = values;
    settings.position[0].options["vectors"] = std::string(vectors);
    return settings;
}

TEST(Shaw, RowOfADistanceIsKeyMinusQueryClipped) {
    const ModelSettings settings = shaw(2, true);
    Parameters parameters(DType::float64);
    const auto encoding = find_encoding("shaw")->make(settings, settings.position[0]);
    encoding->declare_layer_parameters(parameters, "");
    parameters.allocate();
    const RaggedBatch batch({6}, 11);
    Arena arena;
    Tape tape(arena);
    AttentionScore score;
    encoding->relate(tape, {}, batch.input, score);
    const Tensor map =
        score.key_table.row_of_distance;  // over i - j = -2 .. 2; further ones are clamped by the attention
    const std::vector<std::int32_t> rows(map.as<std::int32_t>(), map.as<std::int32_t>() + map.count());
    EXPECT_EQ(rows, (std::vector<std::int32_t>{4, 3, 2, 1, 0}));
    EXPECT_EQ(score.value_table.row_of_distance.data, map.data);
    EXPECT_EQ(score.key_table.table.value().data, parameters.find("relative_keys.weight")->value.data);
    EXPECT_EQ(score.value_table.table.value().data, parameters.find("relative_values.weight")->value.data);
}

// One head, no content: with zero projections only the values' vectors are left, averaged with equal weights.
TEST(Shaw, ValuesAddTheAverageOfTheVectorsAtTheirDistances) {
    ModelSettings settings = shaw(1, true);
    settings.layers = 1;
    settings.heads = 1;
    settings.hidden = 2;
    const auto model = perturbed_model(settings);
    Parameters& parameters = model->parameters();
    const std::string layer = "bert.encoder.layer.0.", self = layer + "attention.self.";
    for (const char* name : {"query", "key", "value"}) {
        for (const char* part : {".weight", ".bias"}) {
            const Tensor value = parameters.find(self + name + part)->value;
            std::fill_n(value.as<double>(), value.count(), 0.0);
        }
    }
    const double* const v = parameters.find(self + "relative_values.weight")->value.as<double>();
    const RaggedBatch batch({3}, 11);
    Arena arena;
    Tape tape(arena);
    AttentionScore score;
    score.dtype = DType::float64;
    const auto encoding = find_encoding("shaw")->make(settings, settings.position[0]);
    Parameters own(DType::float64);
    encoding->declare_layer_parameters(own, "");
    own.allocate();
    std::copy_n(v, 6, own.find("relative_values.weight")->value.as<double>());
    encoding->relate(tape, {}, batch.input, score);
    std::vector<double> zeros(18, 0.0);
    const Var qkv = tape.constant(Tensor(zeros.data(), {3, 6}, DType::float64));
    const Tensor out =
        attention(tape, {qkv, 0}, {qkv, 2}, {qkv, 4}, 1, 2, batch.input.rows, batch.input.rows, score).value();
    // Row 0 of the vectors: the key stands to the left; 1: itself; 2: to the right. Query 0 sees 1, 2, 2; query 1 sees 0, 1, 2.
    for (int c = 0; c < 2; ++c) {
        EXPECT_NEAR(out.as<double>()[c], (v[2 + c] + 2 * v[4 + c]) / 3, 1e-14);
        EXPECT_NEAR(out.as<double>()[2 + c], (v[c] + v[2 + c] + v[4 + c]) / 3, 1e-14);
        EXPECT_NEAR(out.as<double>()[4 + c], (2 * v[c] + v[2 + c]) / 3, 1e-14);
    }
}

TEST(Shaw, WithoutValuesEqualTokensGiveEqualOutputs) {
    RaggedBatch batch({7}, 11);
    batch.ids.assign(7, 4);
    batch.types.assign(7, 1);
    batch.refresh();
    const auto spread = [&](bool values) {
        const std::vector<double> hidden = encode(*perturbed_model(shaw(16, values)), batch.input);
        double largest = 0;
        for (std::size_t n = 6; n < hidden.size(); ++n)
            largest = std::max(largest, std::abs(hidden[n] - hidden[n % 6]));
        return largest;
    };
    EXPECT_LE(spread(false), 1e-12);
    EXPECT_GT(spread(true), 1e-3);
}

TEST(Shaw, OutputsDoNotChangeWhenAllPositionsShift) {
    const auto model = perturbed_model(shaw(3, true));
    RaggedBatch batch({6}, 11);
    const std::vector<double> before = encode(*model, batch.input);
    for (std::int32_t& position : batch.positions) position += 1000;
    batch.refresh();
    EXPECT_EQ(largest_difference(encode(*model, batch.input), before), 0.0);
}

TEST(Shaw, SinusoidalVectorsAreWavesOfTheDistanceAndHaveNoParameters) {
    const ModelSettings settings = shaw(4, true, "sinusoidal");  // head_dim 3
    EXPECT_EQ(MaskedLanguageModel(settings, DType::float32).parameters().count(),
              MaskedLanguageModel(small_settings("none"), DType::float32).parameters().count());
    const auto encoding = find_encoding("shaw")->make(settings, settings.position[0]);
    const RaggedBatch batch({3}, 11);
    Arena arena;
    Tape tape(arena);
    AttentionScore score;
    score.dtype = DType::float64;
    encoding->relate(tape, {}, batch.input, score);
    const Tensor table = score.key_table.table.value();
    ASSERT_EQ(table.shape, (Shape{9, 3}));
    const double slow = std::pow(10000.0, -2.0 / 3.0);
    for (int d = -4; d <= 4; ++d) {
        const double* const row = table.as<double>() + (d + 4) * 3;
        EXPECT_NEAR(row[0], std::sin(d), 1e-15);
        EXPECT_NEAR(row[1], std::cos(d), 1e-15);
        EXPECT_NEAR(row[2], std::sin(d * slow), 1e-15);
    }
    EXPECT_TRUE(score.value_table.table);
}

TEST(Shaw, RefusesADistanceBelowOneAndASecondKeyTable) {
    EXPECT_THROW(MaskedLanguageModel(shaw(0, true), DType::float32), ModelError);
    ModelSettings settings = shaw(4, true);
    settings.position.push_back(default_position("relative_key"));
    EXPECT_THROW(make_encodings(settings), ModelError);
}

}  // namespace
}  // namespace locus
