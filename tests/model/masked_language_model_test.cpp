// What the architecture switches do: DeBERTa's parametrisations, the enhanced mask decoder, the convolution, narrow embeddings. Agreement with the
// reference implementations is in tests/train/reference_parity_test.cpp.
#include "model/masked_language_model.h"

#include <gtest/gtest.h>

#include "model/error.h"
#include "model/forward_visitor.h"
#include "tests/model/small_model.h"

namespace locus {
namespace {

using testing::largest_difference;
using testing::perturbed_model;
using testing::RaggedBatch;

struct Case {
    const char* name;
    void (*change)(ModelSettings&);
};

void set(ModelSettings& settings, const char* option, const OptionValue& value) {
    settings.position[0].options[option] = value;
}

ModelSettings deberta(const std::string& architecture) {
    ModelSettings settings = testing::small_settings("disentangled");
    settings.architecture = architecture;
    settings.token_types = 0;
    return settings;
}

// Each begins as BERT with disentangled attention.
const Case cases[] = {
    {"V1", [](ModelSettings& s) { s = deberta("deberta"); }},
    {"V1SharedProjections",
     [](ModelSettings& s) {
         s = deberta("deberta");
         set(s, "share_projections", true);
     }},
    {"V1Enhanced",
     [](ModelSettings& s) {
         s = deberta("deberta");
         s.mask_decoder = "enhanced";
     }},
    {"V2OwnProjections", [](ModelSettings& s) { s = deberta("deberta-v2"); }},
    {"V2EnhancedWithEverything",
     [](ModelSettings& s) {
         s = deberta("deberta-v2");
         s.mask_decoder = "enhanced";
         s.decoder_passes = 3;
         s.convolution = {3, "tanh"};
         set(s, "buckets", std::int64_t{4});
         set(s, "share_projections", true);
         set(s, "table_norm", true);
     }},
    {"NarrowEmbeddings",
     [](ModelSettings& s) {
         s = deberta("deberta-v2");
         s.embedding_size = 4;
         s.convolution = {5, "gelu"};
     }},
    {"AllThreeTerms", [](ModelSettings& s) { set(s, "terms", std::string("c2p|p2c|p2p")); }},
    {"PositionToPositionAlone", [](ModelSettings& s) { set(s, "terms", std::string("p2p")); }},
    {"EnhancedWithAbsoluteAtTheInput",
     [](ModelSettings& s) {
         s.position = {default_position("absolute")};
         s.mask_decoder = "enhanced";
     }},
    {"EnhancedWithRope",
     [](ModelSettings& s) {
         s.hidden = 8;
         s.position = {default_position("rope")};
         s.mask_decoder = "enhanced";
     }},
    {"WindowedWithLogN",
     [](ModelSettings& s) {
         s.attention = {1, true};
         s.train_length = 3;
     }},
    {"EnhancedWindowedWithLogN",
     [](ModelSettings& s) {
         s = deberta("deberta");
         s.mask_decoder = "enhanced";
         s.attention = {2, true};
         s.train_length = 3;
     }},
    {"AbsoluteAtTheOutput",
     [](ModelSettings& s) {
         s.position = {default_position("absolute")};
         set(s, "site", std::string("output"));
     }},
};

class Architectures : public ::testing::TestWithParam<Case> {
protected:
    static ModelSettings settings() {
        ModelSettings settings = testing::small_settings("disentangled");
        GetParam().change(settings);
        return settings;
    }
};
INSTANTIATE_TEST_SUITE_P(All, Architectures, ::testing::ValuesIn(cases),
                         [](const auto& info) { return std::string(info.param.name); });

// The key's bias cancels in the softmax, except where p2c or p2p read it; whether it does is not what is tested here.
std::vector<std::string> idle_key_biases(const MaskedLanguageModel& model) {
    const auto& options = model.settings().position[0].options;
    const auto shared = options.find("share_projections"), terms = options.find("terms");
    const bool is_read = shared != options.end() && std::get<bool>(shared->second) &&
                         std::get<std::string>(terms->second).find("p2") != std::string::npos;
    if (is_read) return {};
    std::vector<std::string> names = testing::key_biases(model);
    for (const Parameter& parameter : model.parameters().all()) {
        if (parameter.name.find("key_proj.bias") != std::string::npos) names.push_back(parameter.name);
    }
    return names;
}

TEST_P(Architectures, GradientsOfTheLossMatchCentralDifferences) {
    const auto model = perturbed_model(settings());
    RaggedBatch batch({5, 1, 4}, 11);
    std::vector<std::int32_t> rows = {1, 2, 5, 9};
    const Tensor masked(rows.data(), {4}, DType::int32);
    const auto f = [&](Tape& tape) {
        return model->logits(tape, model->encode(tape, batch.input, {}), batch.input, masked);
    };
    testing::expect_gradients_match(model->parameters(), f, idle_key_biases(*model));
}

TEST_P(Architectures, GradientsWithDropoutMatchCentralDifferences) {
    ModelSettings changed = settings();
    changed.hidden_dropout = 0.3;
    changed.attention_dropout = 0.4;
    const auto model = perturbed_model(changed);
    RaggedBatch batch({4, 3}, 11);
    std::vector<std::int32_t> rows = {0, 3, 5};
    const Tensor masked(rows.data(), {3}, DType::int32);
    const RunMode mode = {.training = true, .seed = 3, .step = 17};
    const auto f = [&](Tape& tape) {
        return model->logits(tape, model->encode(tape, batch.input, mode), batch.input, masked, mode);
    };
    testing::expect_gradients_match(model->parameters(), f, idle_key_biases(*model));
}

TEST_P(Architectures, RecomputationKeepsEveryBit) { testing::expect_recomputation_keeps_every_bit(settings()); }

TEST_P(Architectures, SomeRowsGetTheLogitsThatTheyGetAmongAll) {
    const auto model = perturbed_model(settings());
    const RaggedBatch batch({5, 1, 6}, 11);
    std::vector<std::int32_t> rows = {0, 4, 6, 11};
    Arena arena;
    Tape tape(arena);
    tape.set_recording(false);
    const Var encoded = model->encode(tape, batch.input, {});
    const Tensor all = model->logits(tape, encoded, batch.input, {}).value();
    const Tensor some = model->logits(tape, encoded, batch.input, Tensor(rows.data(), {4}, DType::int32)).value();
    double largest = 0;
    for (std::size_t n = 0; n < rows.size(); ++n) {
        for (std::int64_t c = 0; c < 11; ++c) {
            const double difference =
                some.as<double>()[static_cast<std::int64_t>(n) * 11 + c] - all.as<double>()[rows[n] * 11 + c];
            if (!(std::abs(difference) <= largest)) largest = std::abs(difference);
        }
    }
    EXPECT_LE(largest, 1e-12);
}

TEST_P(Architectures, SequencesDoNotSeeEachOther) {
    const auto model = perturbed_model(settings());
    RaggedBatch alone({4}, 11), together({4, 7, 1}, 11);
    for (std::size_t n = 4; n < together.ids.size(); ++n) together.ids[n] = 9;
    together.refresh();
    const auto logits = [&](const RaggedBatch& batch) {
        Arena arena;
        Tape tape(arena);
        tape.set_recording(false);
        const Tensor value = model->logits(tape, model->encode(tape, batch.input, {}), batch.input, {}).value();
        return std::vector<double>(value.as<double>(), value.as<double>() + 4 * 11);
    };
    EXPECT_LE(largest_difference(logits(alone), logits(together)), 1e-12);
}

// What a model makes of a batch of sequences of these lengths.
std::vector<double> encode_under(const AttentionSettings& attention, std::int64_t train_length,
                                 const std::vector<std::int32_t>& lengths, const char* encoding = "t5_bias") {
    ModelSettings settings = testing::small_settings(encoding);
    settings.attention = attention;
    settings.train_length = train_length;
    RaggedBatch batch(lengths, 11);
    return testing::encode(*perturbed_model(settings), batch.input);
}

TEST(LogN, ChangesNothingAtTheTrainingLengthAndSomethingAtOthers) {
    const std::vector<double> plain = encode_under({}, 4, {4, 4});
    EXPECT_EQ(testing::largest_difference(plain, encode_under({0, true}, 4, {4, 4})), 0);
    EXPECT_GT(testing::largest_difference(plain, encode_under({0, true}, 5, {4, 4})), 1e-4);
}

TEST(LogN, ASequenceOfOneTokenIsWhatItIsWithout) {
    EXPECT_LE(testing::largest_difference(encode_under({}, 8, {1}), encode_under({0, true}, 8, {1})), 1e-15);
}

TEST(LogN, IsTheOwnLengthOfEachSequenceOfABatch) {
    std::vector<double> together = encode_under({0, true}, 4, {4, 7}), alone = encode_under({0, true}, 4, {4});
    together.resize(alone.size());
    EXPECT_LE(testing::largest_difference(together, alone), 1e-15);
}

TEST(LogN, NeedsATrainingLength) {
    ModelSettings settings = testing::small_settings("none");
    settings.attention.logn = true;
    EXPECT_THROW(MaskedLanguageModel(settings, DType::float32), ModelError);
}

TEST(Window, AsWideAsTheSequenceChangesNothing) {
    const std::vector<double> plain = encode_under({}, 0, {7, 3});
    EXPECT_LE(testing::largest_difference(plain, encode_under({6, false}, 0, {7, 3})), 1e-14);
    EXPECT_GT(testing::largest_difference(plain, encode_under({2, false}, 0, {7, 3})), 1e-4);
}

// Two layers of radius 1: a token hears of those two places away, and of none farther.
TEST(Window, HidesWhatIsFarther) {
    ModelSettings settings = testing::small_settings("t5_bias");
    settings.attention.window = 1;
    const auto model = perturbed_model(settings);
    RaggedBatch batch({8}, 11);
    const std::vector<double> before = testing::encode(*model, batch.input);
    batch.ids[5] = batch.ids[5] % 10 + 1;
    const std::vector<double> after = testing::encode(*model, batch.input);
    const auto width = static_cast<std::size_t>(settings.hidden);
    for (std::size_t row = 0; row < 8; ++row) {
        double difference = 0;
        for (std::size_t c = 0; c < width; ++c)
            difference = std::max(difference, std::abs(before[row * width + c] - after[row * width + c]));
        if (row >= 3 && row <= 7) {
            EXPECT_GT(difference, 1e-6) << row;
        } else {
            EXPECT_EQ(difference, 0) << row;
        }
    }
}

TEST(EnhancedDecoder, OnlyItKnowsWhereATokenStands) {
    ModelSettings settings = deberta("deberta");
    settings.mask_decoder = "enhanced";
    const auto model = perturbed_model(settings);
    RaggedBatch batch({8}, 11);
    batch.ids.assign(8, 4);  // the same token everywhere: the encoder, being relative, gives the same output everywhere
    batch.refresh();
    const std::vector<double> hidden = testing::encode(*model, batch.input);
    Arena arena;
    Tape tape(arena);
    tape.set_recording(false);
    const Tensor logits = model->logits(tape, model->encode(tape, batch.input, {}), batch.input, {}).value();
    double hidden_spread = 0, logit_spread = 0;
    for (std::size_t n = 6; n < hidden.size(); ++n)
        hidden_spread = std::max(hidden_spread, std::abs(hidden[n] - hidden[n % 6]));
    for (std::int64_t n = 11; n < logits.count(); ++n)
        logit_spread = std::max(logit_spread, std::abs(logits.as<double>()[n] - logits.as<double>()[n % 11]));
    EXPECT_LE(hidden_spread, 1e-12);
    EXPECT_GT(logit_spread, 1e-3);
}

TEST(EnhancedDecoder, AddsNoParametersButItsTable) {
    ModelSettings plain = deberta("deberta"), enhanced = plain;
    enhanced.mask_decoder = "enhanced";
    const MaskedLanguageModel with(enhanced, DType::float32), without(plain, DType::float32);
    EXPECT_EQ(with.parameters().count() - without.parameters().count(), plain.max_length * plain.hidden);
    EXPECT_EQ(with.settings().position.back().encoding, "absolute");
}

TEST(EnhancedDecoder, NeedsTwoLayers) {
    ModelSettings settings = deberta("deberta");
    settings.layers = 1;
    settings.mask_decoder = "enhanced";
    EXPECT_THROW(MaskedLanguageModel(settings, DType::float32), ModelError);
}

TEST(Recomputation, HoldsTheInsideOfOneBlock) {
    ModelSettings settings = testing::small_settings("alibi");
    settings.layers = 12;
    settings.hidden = settings.feed_forward = 32;
    const RaggedBatch batch({256}, 11);
    std::vector<std::int32_t> row = {3}, target = {5};
    const Tensor rows(row.data(), {1}, DType::int32), ids(target.data(), {1}, DType::int32);
    const auto peak = [&](bool recompute) {
        settings.recompute = recompute;
        const auto model = perturbed_model(settings, DType::float32);
        Arena arena;
        Tape tape(arena);
        model->masked_lm_loss(tape, batch.input, {rows, ids}, 1, {});
        tape.backward();
        return static_cast<double>(arena.peak());
    };
    EXPECT_LT(peak(true), 0.4 * peak(false));
}

TEST(Recomputation, IsNotAskedOfAVisitor) {
    ModelSettings settings = testing::small_settings("absolute");
    settings.recompute = true;
    const auto model = perturbed_model(settings);
    const RaggedBatch batch({4, 3}, 11);
    int seen = 0;
    ForwardVisitor visitor;
    visitor.attended = [&](const ComputedAttention&) { ++seen; };
    std::vector<double> seed(7 * 6, 1.0);
    Arena arena;
    Tape tape(arena);
    const Var encoded = model->encode(tape, batch.input, {.visitor = &visitor});
    tape.backward(encoded, Tensor(seed.data(), {7, 6}, DType::float64));
    EXPECT_EQ(seen, 2);  // layers
}

TEST(Architecture, UnknownNamesAreRefused) {
    ModelSettings settings = deberta("deberta-v4");
    EXPECT_THROW(MaskedLanguageModel(settings, DType::float32), ModelError);
    settings = deberta("deberta");
    settings.mask_decoder = "better";
    EXPECT_THROW(MaskedLanguageModel(settings, DType::float32), ModelError);
    settings = deberta("deberta-v2");
    settings.convolution.kernel = 4;
    EXPECT_THROW(MaskedLanguageModel(settings, DType::float32), ModelError);
    settings.convolution = {3, "relu"};
    EXPECT_THROW(MaskedLanguageModel(settings, DType::float32), ModelError);
}

TEST(FirstWeights, AreSharedByModelsOfOneSeedWhateverElseIsInThem) {
    ModelSettings first = testing::small_settings("absolute"), second = testing::small_settings("disentangled");
    MaskedLanguageModel a(first, DType::float32), b(second, DType::float32);
    a.initialize(5);
    b.initialize(5);
    int shared = 0;
    for (Parameter& parameter : a.parameters().all()) {
        const Parameter* const other = b.parameters().find(parameter.name);
        if (other == nullptr) continue;
        for (std::int64_t n = 0; n < parameter.value.count(); ++n)
            ASSERT_EQ(parameter.value.as<float>()[n], other->value.as<float>()[n]) << parameter.name;
        ++shared;
    }
    EXPECT_EQ(shared, static_cast<int>(a.parameters().all().size()) - 1);  // all but the position table
    b.initialize(6);
    EXPECT_NE(a.parameters().all()[0].value.as<float>()[8], b.parameters().all()[0].value.as<float>()[8]);
}

}  // namespace
}  // namespace locus
