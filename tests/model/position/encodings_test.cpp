// What every position encoding must hold, in one table. To add an encoding, add a row.
#include <gtest/gtest.h>

#include <algorithm>

#include "model/error.h"
#include "tests/model/small_model.h"

namespace locus {
namespace {

using testing::encode;
using testing::largest_difference;
using testing::perturbed_model;
using testing::RaggedBatch;
using testing::small_settings;

struct Row {
    const char* encoding;
    bool knows_order;  // permuting the tokens changes more than the order of the outputs
    bool collapses;  // equal tokens everywhere give equal outputs everywhere (position enters through the logits alone)
    bool any_length;                                   // takes sequences past max_length by default
    bool moves_freely;                                 // the same positions further on change nothing
    std::int64_t (*parameters)(const ModelSettings&);  // that the encoding adds
    const char* wrapped = nullptr;  // an encoding to list in front of one that only changes the positions
};

ModelSettings settings_of(const Row& row) {
    ModelSettings settings = small_settings(row.encoding);
    if (row.wrapped != nullptr) settings.position.insert(settings.position.begin(), default_position(row.wrapped));
    return settings;
}

const Row rows[] = {
    {"none", false, true, true, true, [](const ModelSettings&) -> std::int64_t { return 0; }},
    {"absolute", true, false, false, false, [](const ModelSettings& s) { return s.max_length * s.hidden; }},
    {"sinusoidal", true, false, true, false, [](const ModelSettings&) -> std::int64_t { return 0; }},
    {"scalar", true, false, true, false, [](const ModelSettings&) -> std::int64_t { return 0; }},
    {"hybrid", true, false, true, false, [](const ModelSettings& s) { return s.max_length * s.hidden / 2; }},
    {"rnn", true, false, true, true,
     [](const ModelSettings& s) { return (9 * s.hidden * s.hidden) / 2 + 6 * s.hidden; }},
    {"recursive", true, false, true, false,
     [](const ModelSettings& s) { return 2 * s.hidden * s.hidden + 3 * s.hidden; }},
    {"linear_recurrence", true, false, true, true, [](const ModelSettings& s) { return 2 * s.hidden * s.hidden; }},
    {"additive_relative", true, false, true, true, [](const ModelSettings& s) { return 16 * s.hidden; }},
    {"relative_key", true, true, true, true,
     [](const ModelSettings& s) { return s.layers * (2 * s.max_length - 1) * (s.hidden / s.heads); }},
    {"relative_key_query", true, true, true, true,
     [](const ModelSettings& s) { return s.layers * (2 * s.max_length - 1) * (s.hidden / s.heads); }},
    {"t5_bias", true, true, true, true, [](const ModelSettings& s) { return 32 * s.heads; }},
    {"alibi", true, true, true, true, [](const ModelSettings&) -> std::int64_t { return 0; }},
    {"rope", true, true, true, true, [](const ModelSettings&) -> std::int64_t { return 0; }},
    {"disentangled", true, true, true, true,
     [](const ModelSettings& s) {
         return 2 * s.max_length * s.hidden + s.layers * (2 * s.hidden * s.hidden + s.hidden);
     }},
    {"shaw", true, false, true, true,
     [](const ModelSettings& s) { return s.layers * 2 * (2 * 16 + 1) * (s.hidden / s.heads); }},
    {"kerple", true, true, true, true, [](const ModelSettings& s) { return 2 * 2 * s.heads; }},
    {"fire", true, true, true, true, [](const ModelSettings& s) { return 32 * (s.heads + 2) + 2; }},
    {"transformer_xl", true, true, true, true,
     [](const ModelSettings& s) { return s.layers * s.hidden * s.hidden + 2 * s.hidden; }},
    {"log_cpb", true, true, true, true, [](const ModelSettings& s) { return 512 * (s.heads + 2); }},
    {"tupe", true, true, false, false,
     [](const ModelSettings& s) { return (s.max_length + 2 + 2 * s.hidden) * s.hidden + s.heads; }},
    {"randomized", true, false, false, false, [](const ModelSettings& s) { return s.max_length * s.hidden; },
     "absolute"},
    {"shape", true, false, false, false, [](const ModelSettings& s) { return s.max_length * s.hidden; }, "absolute"},
    {"convolutional", true, false, true, true, [](const ModelSettings& s) { return 4 * s.hidden; }},
};

class Encodings : public ::testing::TestWithParam<Row> {};
INSTANTIATE_TEST_SUITE_P(All, Encodings, ::testing::ValuesIn(rows),
                         [](const auto& info) { return std::string(info.param.encoding); });

TEST(EncodingTable, HasARowForEveryEncoding) {
    std::vector<std::string> known, tested;
    for (const EncodingEntry& entry : encoding_registry()) known.emplace_back(entry.name);
    for (const Row& row : rows) tested.emplace_back(row.encoding);
    EXPECT_EQ(known, tested);
}

TEST_P(Encodings, GradientsOfAWholeModelMatchCentralDifferences) {
    const auto model = perturbed_model(settings_of(GetParam()));
    const RaggedBatch batch({5, 1, 3}, 11);
    const auto f = [&](Tape& tape) {
        return model->logits(tape, model->encode(tape, batch.input, {}), batch.input, {});
    };
    testing::expect_gradients_match(model->parameters(), f, testing::key_biases(*model));
}

TEST_P(Encodings, GradientsWithDropoutMatchCentralDifferences) {
    ModelSettings settings = settings_of(GetParam());
    settings.layers = 1;
    settings.hidden_dropout = 0.3;
    settings.attention_dropout = 0.4;
    const auto model = perturbed_model(settings);
    const RaggedBatch batch({4, 2}, 11);
    const RunMode mode = {.training = true, .seed = 3, .step = 17};
    const auto f = [&](Tape& tape) {
        return model->logits(tape, model->encode(tape, batch.input, mode), batch.input, {}, mode);
    };
    testing::expect_gradients_match(model->parameters(), f, testing::key_biases(*model));
}

TEST_P(Encodings, RecomputationKeepsEveryBit) {
    testing::expect_recomputation_keeps_every_bit(settings_of(GetParam()));
}

TEST_P(Encodings, ParameterCountEqualsTheFormula) {
    const ModelSettings settings = settings_of(GetParam());
    const std::int64_t baseline = MaskedLanguageModel(small_settings("none"), DType::float32).parameters().count();
    EXPECT_EQ(MaskedLanguageModel(settings, DType::float32).parameters().count() - baseline,
              GetParam().parameters(settings));
}

TEST_P(Encodings, PermutedTokensArePermutedOutputsOnlyWithoutPosition) {
    const auto model = perturbed_model(settings_of(GetParam()));
    RaggedBatch batch({6}, 11);
    batch.types.assign(6, 0);
    batch.refresh();
    const std::vector<double> before = encode(*model, batch.input);
    const std::size_t order[] = {3, 0, 5, 1, 4, 2};
    RaggedBatch permuted({6}, 11);
    std::vector<double> expected;
    permuted.types.assign(6, 0);
    for (std::size_t i = 0; i < 6; ++i) {
        permuted.ids[i] = batch.ids[order[i]];
        expected.insert(expected.end(), before.begin() + static_cast<std::ptrdiff_t>(order[i] * 6),
                        before.begin() + static_cast<std::ptrdiff_t>(order[i] * 6 + 6));
    }
    permuted.refresh();
    const double difference = largest_difference(encode(*model, permuted.input), expected);
    if (GetParam().knows_order) {
        EXPECT_GT(difference, 1e-3);
    } else {
        EXPECT_LE(difference, 1e-12);
    }
}

TEST_P(Encodings, ConstantInputCollapsesExactlyForTheLogitOnlyOnes) {
    const auto model = perturbed_model(settings_of(GetParam()));
    RaggedBatch batch({7}, 11);
    batch.ids.assign(7, 4);
    batch.types.assign(7, 1);
    batch.refresh();
    const std::vector<double> hidden = encode(*model, batch.input);
    double spread = 0;
    for (std::size_t n = 6; n < hidden.size(); ++n) spread = std::max(spread, std::abs(hidden[n] - hidden[n % 6]));
    if (GetParam().collapses) {
        EXPECT_LE(spread, 1e-12);
    } else {
        EXPECT_GT(spread, 1e-3);
    }
}

// Outputs of a sequence with its tokens in this order, put back in place.
std::vector<double> encode_mirrored(const MaskedLanguageModel& model, const RaggedBatch& batch) {
    RaggedBatch mirror({static_cast<std::int32_t>(batch.ids.size())}, 11);
    mirror.ids.assign(batch.ids.rbegin(), batch.ids.rend());
    mirror.types.assign(batch.types.rbegin(), batch.types.rend());
    mirror.refresh();
    const std::vector<double> hidden = encode(model, mirror.input);
    std::vector<double> back;
    for (std::size_t row = batch.ids.size(); row-- > 0;)
        back.insert(back.end(), hidden.begin() + static_cast<std::ptrdiff_t>(row * 6),
                    hidden.begin() + static_cast<std::ptrdiff_t>(row * 6 + 6));
    return back;
}

void expect_mirror_property(const ModelSettings& settings) {
    const auto model = perturbed_model(settings);
    const RaggedBatch batch({7}, 11);
    const double difference = largest_difference(encode_mirrored(*model, batch), encode(*model, batch.input));
    const PositionEncodings encodings = make_encodings(settings);
    if (std::all_of(encodings.begin(), encodings.end(), [](const auto& e) { return e->is_symmetric(); })) {
        EXPECT_LE(difference, 1e-12);
    } else {
        EXPECT_GT(difference, 1e-4);
    }
}

TEST_P(Encodings, MirroredTokensAreMirroredOutputsExactlyForTheSymmetricOnes) {
    expect_mirror_property(settings_of(GetParam()));
}

TEST(Encodings, OptionsDecideWhetherOneIsSymmetric) {
    for (const char* sides : {"symmetric", "offset", "one_sided", "two_slopes"}) {
        ModelSettings settings = small_settings("alibi");
        settings.position[0].options["sides"] = std::string(sides);
        expect_mirror_property(settings);
    }
    for (const char* encoding : {"kerple", "fire"}) {
        for (const bool is_signed : {false, true}) {
            ModelSettings settings = small_settings(encoding);
            settings.position[0].options["signed"] = is_signed;
            EXPECT_EQ(make_encodings(settings)[0]->is_symmetric(), !is_signed);
            expect_mirror_property(settings);
        }
    }
}

// Where only distances count, a text may stand anywhere. The others notice that its first token is not at 0, or do not look at positions.
TEST_P(Encodings, MovedTextHasTheSameOutputsWhereTheTableSaysSo) {
    ModelSettings settings = settings_of(GetParam());
    settings.max_length = 16;
    const auto model = perturbed_model(settings);
    RaggedBatch batch({6}, 11);
    const std::vector<double> before = encode(*model, batch.input);
    for (std::int32_t& position : batch.positions) position += 5;
    batch.refresh();
    const double difference = largest_difference(encode(*model, batch.input), before);
    if (GetParam().moves_freely) {
        EXPECT_LE(difference, 1e-11);
    } else {
        EXPECT_GT(difference, 1e-3);
    }
}

TEST_P(Encodings, SequencesDoNotSeeEachOther) {
    const auto model = perturbed_model(settings_of(GetParam()));
    RaggedBatch alone({4}, 11), together({4, 7, 1}, 11);
    for (std::size_t n = 4; n < together.ids.size(); ++n) together.ids[n] = 9;
    together.refresh();
    const std::vector<double> expected = encode(*model, alone.input);
    std::vector<double> got = encode(*model, together.input);
    got.resize(expected.size());
    EXPECT_LE(largest_difference(got, expected), 1e-12);
}

TEST_P(Encodings, TakesEightTimesTheLengthOrRefusesClearly) {
    const ModelSettings settings = settings_of(GetParam());
    const auto model = perturbed_model(settings);
    const RaggedBatch batch({static_cast<std::int32_t>(8 * settings.max_length)}, 11);
    EXPECT_EQ(model->longest_sequence() == 0, GetParam().any_length);
    if (GetParam().any_length) {
        for (const double value : encode(*model, batch.input)) ASSERT_TRUE(std::isfinite(value));
        return;
    }
    try {
        encode(*model, batch.input);
        FAIL() << "a sequence longer than the table was taken";
    } catch (const ModelError& error) {
        EXPECT_NE(std::string(error.what()).find("64 tokens is longer than the position table (8 rows)"),
                  std::string::npos)
            << error.what();
    }
}

TEST_P(Encodings, Float32AgreesWithFloat64) {
    const ModelSettings settings = settings_of(GetParam());
    const auto exact = perturbed_model(settings), single = perturbed_model(settings, DType::float32);
    const RaggedBatch batch({8, 3}, 11);
    const std::vector<double> expected = encode(*exact, batch.input);
    Arena arena;
    Tape tape(arena);
    tape.set_recording(false);
    const Tensor hidden = single->encode(tape, batch.input, {}).value();
    for (std::size_t n = 0; n < expected.size(); ++n) {
        const double error = std::abs(hidden.as<float>()[n] - expected[n]);
        ASSERT_TRUE(error <= 2e-5) << n << ": " << hidden.as<float>()[n] << " for " << expected[n];
    }
}

TEST(Encodings, TwoThatCannotBeInOneModelAreRefusedByName) {
    ModelSettings settings = small_settings("absolute");
    settings.position.push_back(settings.position[0]);
    EXPECT_THROW(MaskedLanguageModel(settings, DType::float32), ModelError);
    settings.position = {default_position("absolute"), default_position("relative_key")};
    EXPECT_NO_THROW(MaskedLanguageModel(settings, DType::float32));
    settings.position.push_back(default_position("relative_key_query"));
    try {
        make_encodings(settings);
        FAIL() << "two key tables were taken";
    } catch (const ModelError& error) {
        EXPECT_STREQ(error.what(),
                     "model.position: relative_key and relative_key_query both set the content-to-position term; "
                     "take one of them");
    }
}

TEST(Encodings, UnknownNamesAndOptionsAreRefused) {
    EXPECT_THROW(default_position("absolut"), ModelError);
    ModelSettings settings = small_settings("absolute");
    settings.position[0].options["beyonf"] = std::string("clip");
    EXPECT_THROW(MaskedLanguageModel(settings, DType::float32), ModelError);
}

}  // namespace
}  // namespace locus
