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

PositionSettings tupe(bool untie_cls, bool relative_bias) {
    PositionSettings position = default_position("tupe");
    position.options["untie_cls"] = untie_cls;
    position.options["relative_bias"] = relative_bias;
    position.options["buckets"] = std::int64_t{8};
    position.options["max_distance"] = std::int64_t{6};
    return position;
}

// The formula in plain loops, for head_dim 3, two heads, hidden 6.
struct Textbook {
    Parameters& parameters;
    bool untie_cls, relative_bias;

    const double* at(const char* name) const { return parameters.find(name)->value.as<double>(); }

    // p U, p = layer_norm(position_vectors).
    std::vector<double> projected(int position, const char* weight) const {
        const double* const row = at("position_vectors.weight") + 6 * position;
        double mean = 0, variance = 0;
        for (int c = 0; c < 6; ++c) mean += row[c] / 6;
        for (int c = 0; c < 6; ++c) variance += (row[c] - mean) * (row[c] - mean) / 6;
        std::vector<double> result(6, 0.0);
        for (int out = 0; out < 6; ++out) {
            for (int c = 0; c < 6; ++c) {
                const double normed =
                    (row[c] - mean) / std::sqrt(variance + 1e-5) * at("position_vectors.LayerNorm.weight")[c] +
                    at("position_vectors.LayerNorm.bias")[c];
                result[static_cast<std::size_t>(out)] += normed * at(weight)[6 * out + c];
            }
        }
        return result;
    }

    // T5's buckets for 8 and 6: four on each side, two of them exact.
    static int bucket(int key_minus_query) {
        const int distance = std::abs(key_minus_query), side = key_minus_query > 0 ? 4 : 0;
        if (distance < 2) return side + distance;
        return side + (distance < 4 ? 2 : 3);  // 2 + floor(ln(d / 2) / ln 3 * 2): 2 and 3, then 4 and more
    }

    // Of the term between positions, without the content; `first` is the position of the sequence's first token.
    double place(int head, int i, int j, int first) const {
        if (untie_cls && i == first) return 0;
        if (untie_cls && j == first) return at("position_of_first_key")[head] / std::sqrt(6.0);
        const std::vector<double> q = projected(i, "position_query.weight"), k = projected(j, "position_key.weight");
        double sum = 0;
        for (int c = 3 * head; c < 3 * head + 3; ++c)
            sum += q[static_cast<std::size_t>(c)] * k[static_cast<std::size_t>(c)];
        sum /= std::sqrt(6.0);
        return relative_bias ? sum + at("relative_attention_bias.weight")[2 * bucket(j - i) + head] : sum;
    }
};

void compare_with_textbook(bool untie_cls, bool relative_bias, std::int32_t shift) {
    const ModelSettings settings = small_settings("tupe");
    Parameters parameters(DType::float64);
    const auto encoding = find_encoding("tupe")->make(settings, tupe(untie_cls, relative_bias));
    encoding->declare_encoder_parameters(parameters, "");
    parameters.allocate();
    testing::fill_random(parameters.values().as<double>(), parameters.count(), 5);
    RaggedBatch batch({4, 3}, 11);
    for (std::int32_t& position : batch.positions) position += shift;
    batch.refresh();
    std::vector<double> x(7 * 18);
    testing::fill_random(x.data(), 7 * 18, 6);
    Arena arena;
    Tape tape(arena);
    AttentionScore score;
    score.dtype = DType::float64;
    score.scale = 1 / std::sqrt(3.0);
    LayerContext layer;
    layer.queries = batch.input.rows;
    encoding->relate(tape, layer, batch.input, score);
    const Var qkv = tape.constant(Tensor(x.data(), {7, 18}, DType::float64));
    const Tensor out =
        attention(tape, {qkv, 0}, {qkv, 6}, {qkv, 12}, 2, 3, batch.input.rows, batch.input.rows, score).value();
    const double* const at = x.data();  // 18 numbers a row: q, k, value
    const Textbook textbook{parameters, untie_cls, relative_bias};
    for (int row = 0; row < 7; ++row) {
        const int begin = row < 4 ? 0 : 4, end = row < 4 ? 4 : 7;
        for (int head = 0; head < 2; ++head) {
            double total = 0, sums[3] = {0, 0, 0};
            for (int key = begin; key < end; ++key) {
                double content = 0;
                for (int c = 3 * head; c < 3 * head + 3; ++c) content += at[18 * row + c] * at[18 * key + 6 + c];
                const double weight = std::exp(content / std::sqrt(6.0) +
                                               textbook.place(head, row - begin + shift, key - begin + shift, shift));
                total += weight;
                for (int c = 0; c < 3; ++c) sums[c] += weight * at[18 * key + 12 + 3 * head + c];
            }
            for (int c = 0; c < 3; ++c)
                EXPECT_NEAR(out.as<double>()[6 * row + 3 * head + c], sums[c] / total, 1e-12) << row << " " << head;
        }
    }
}

TEST(Tupe, TheScoreIsTheFormula) {
    for (const bool untie_cls : {false, true}) {
        for (const bool relative_bias : {false, true}) compare_with_textbook(untie_cls, relative_bias, 0);
    }
}

TEST(Tupe, TheFirstTokenIsTheFirstOfItsSequenceWhereverThatStands) { compare_with_textbook(true, true, 3); }

TEST(Tupe, KnowsWhereASequenceStandsButNotWhatItsFirstTokenIs) {
    ModelSettings settings = small_settings("tupe");
    settings.layers = 1;
    const auto model = perturbed_model(settings);
    RaggedBatch batch({5}, 11);
    const std::vector<double> before = encode(*model, batch.input);
    for (std::int32_t& position : batch.positions) position += 2;
    batch.refresh();
    const std::vector<double> after = encode(*model, batch.input);
    EXPECT_EQ(largest_difference({before.begin(), before.begin() + 6}, {after.begin(), after.begin() + 6}), 0.0);
    EXPECT_GT(largest_difference(before, after), 1e-3);
}

TEST(Tupe, AMaskDecoderOnSomeRowsSeesWhatItSeesOnAll) {
    ModelSettings settings = small_settings("tupe");
    settings.mask_decoder = "enhanced";
    settings.position[0] = tupe(true, true);
    const auto model = perturbed_model(settings);
    const RaggedBatch batch({5, 1, 4}, 11);
    std::vector<std::int32_t> rows = {0, 3, 5, 6, 9};
    Arena arena;
    Tape tape(arena);
    tape.set_recording(false);
    const Var encoded = model->encode(tape, batch.input, {});
    const Tensor all = model->logits(tape, encoded, batch.input, {}).value();
    const Tensor some = model->logits(tape, encoded, batch.input, Tensor(rows.data(), {5}, DType::int32)).value();
    for (std::size_t n = 0; n < rows.size(); ++n)
        for (int c = 0; c < 11; ++c)
            EXPECT_NEAR(some.as<double>()[static_cast<int>(n) * 11 + c], all.as<double>()[rows[n] * 11 + c], 1e-12);
}

TEST(Tupe, GradientsWithARelativeBiasMatchCentralDifferences) {
    for (const bool untie_cls : {false, true}) {
        ModelSettings settings = small_settings("tupe");
        settings.position[0] = tupe(untie_cls, true);
        const auto model = perturbed_model(settings);
        const RaggedBatch batch({7, 1, 3}, 11);
        testing::expect_gradients_match(
            model->parameters(),
            [&](Tape& tape) { return model->logits(tape, model->encode(tape, batch.input, {}), batch.input, {}); },
            testing::key_biases(*model));
    }
}

TEST(Tupe, RefusesWhatCannotBe) {
    ModelSettings settings = small_settings("tupe");
    settings.position[0] = tupe(true, true);
    settings.position[0].options["buckets"] = std::int64_t{6};
    EXPECT_THROW(make_encodings(settings), ModelError);
    settings.position[0].options["relative_bias"] = false;
    EXPECT_NO_THROW(make_encodings(settings));
    settings.position.push_back(default_position("disentangled"));
    try {
        make_encodings(settings);
        FAIL() << "two scales were taken";
    } catch (const ModelError& error) {
        EXPECT_STREQ(error.what(),
                     "model.position: tupe and disentangled both set the scale of the score; take one of them");
    }
}

}  // namespace
}  // namespace locus
