#include "train/head_explanation.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/device.h"
#include "tests/gpus.h"
#include "tests/model/small_model.h"
#include "train/error.h"

namespace locus {
namespace {

using testing::perturbed_model;
using testing::RaggedBatch;
using testing::small_settings;

/// What the attention kernel computed for one head of a layer, in the last pass over it.
struct KernelResult {
    std::vector<double> log_sum_exp;
    std::vector<std::vector<double>> out;
};

KernelResult run_kernel(const MaskedLanguageModel& model, const ModelInput& input, std::int64_t layer,
                        std::int64_t head) {
    KernelResult result;
    ForwardVisitor visitor;
    visitor.attended = [&](const ComputedAttention& computed) {
        if (computed.layer != layer) return;
        result = {};
        const AttentionForward& forward = computed.forward;
        const std::int64_t heads = forward.q.shape[1], dim = forward.q.shape[2];
        for (std::int64_t row = 0; row < forward.q.shape[0]; ++row) {
            result.log_sum_exp.push_back(forward.log_sum_exp.as<float>()[row * heads + head]);
            const float* const out = forward.out.as<float>() + (row * heads + head) * dim;
            result.out.emplace_back(out, out + dim);
        }
    };
    Arena arena;
    Tape tape(arena);
    tape.set_recording(false);
    const RunMode mode = {.visitor = &visitor};
    model.logits(tape, model.encode(tape, input, mode), input, {}, mode);
    return result;
}

void expect_adds_up(const HeadExplanation& explanation, const KernelResult& kernel) {
    ASSERT_EQ(explanation.queries.size(), kernel.out.size());
    for (std::size_t i = 0; i < kernel.out.size(); ++i) {
        const QueryDecomposition& parts = explanation.queries[i];
        ASSERT_EQ(parts.summands.size(), explanation.summands.size());
        double total = 0;
        for (std::size_t j = 0; j < parts.weights.size(); ++j) {
            double sum = 0;
            for (const ScoreSummand& summand : parts.summands) sum += summand.values.at(j);
            const bool visible = std::isfinite(parts.score.at(j));
            const double weight = visible ? std::exp(parts.sequence_scale * sum - kernel.log_sum_exp[i]) : 0;
            EXPECT_NEAR(parts.weights[j], weight, 1e-5) << i << " " << j;
            total += weight;
        }
        EXPECT_NEAR(total, 1, 1e-5) << i;
        for (std::size_t c = 0; c < kernel.out[i].size(); ++c) {
            const double table = parts.from_table.empty() ? 0 : parts.from_table.at(c);
            EXPECT_NEAR(parts.from_values.at(c) + table, kernel.out[i][c], 1e-5) << i << " " << c;
        }
    }
}

struct Case {
    std::string encoding, decoder;
    bool corrected;  // a window and log n attention
};

std::vector<Case> cases() {
    std::vector<Case> all;
    for (const EncodingEntry& entry : encoding_registry())
        for (const char* decoder : {"plain", "enhanced"})
            for (const bool corrected : {false, true}) all.push_back({std::string(entry.name), decoder, corrected});
    return all;
}

class EveryEncoding : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(HeadExplanation, EveryEncoding, ::testing::ValuesIn(cases()), [](const auto& info) {
    return info.param.encoding + "_" + info.param.decoder + (info.param.corrected ? "_corrected" : "");
});

TEST_P(EveryEncoding, TermsPutThroughTheSoftmaxAreWhatTheKernelComputed) {
    ModelSettings settings = small_settings(GetParam().encoding);
    settings.mask_decoder = GetParam().decoder;
    if (GetParam().corrected) {
        settings.attention = {.window = 2, .logn = true};
        settings.train_length = 4;
    }
    const auto model = perturbed_model(settings, DType::float32);
    const RaggedBatch batch({7}, 11);
    for (const std::int64_t layer : {0, 1}) {
        for (const std::int64_t head : {0, 1}) {
            const HeadExplanation explanation = explain_head(*model, batch.input, layer, head);
            EXPECT_EQ(explanation.layer, layer);
            EXPECT_EQ(explanation.decoder_pass, GetParam().decoder == "enhanced" && layer == 1 ? 1 : -1);
            expect_adds_up(explanation, run_kernel(*model, batch.input, layer, head));
        }
    }
}

void expect_close(const std::vector<double>& got, const std::vector<double>& expected) {
    ASSERT_EQ(got.size(), expected.size());
    for (std::size_t n = 0; n < got.size(); ++n) {
        if (got[n] == expected[n]) continue;  // outside the window both are minus infinity
        EXPECT_NEAR(got[n], expected[n], 1e-4) << n;
    }
}

// Every tensor that an attention can have comes to the processor, columns of products and tables included.
TEST_P(EveryEncoding, IsTheSameOnAGpu) {
    ModelSettings settings = small_settings(GetParam().encoding);
    settings.mask_decoder = GetParam().decoder;
    if (GetParam().corrected) {
        settings.attention = {.window = 2, .logn = true};
        settings.train_length = 4;
    }
    const RaggedBatch batch({7}, 11);
    const auto explained_on = [&](Device device) {
        const auto model = perturbed_model(settings, DType::float32);
        model->move_to(device);
        return explain_head(*model, batch.input, 1, 1);
    };
    const HeadExplanation expected = explained_on(Device::cpu);
    for (const Device device : test::gpus()) {
        const HeadExplanation got = explained_on(device);
        EXPECT_EQ(got.summands, expected.summands);
        EXPECT_EQ(got.positions, expected.positions);
        ASSERT_EQ(got.queries.size(), 7U);
        ASSERT_EQ(got.unrotated_content.size(), expected.unrotated_content.size());
        for (std::size_t i = 0; i < 7; ++i) {
            const QueryDecomposition &a = got.queries[i], &b = expected.queries[i];
            for (std::size_t n = 0; n < b.summands.size(); ++n)
                expect_close(a.summands[n].values, b.summands[n].values);
            expect_close(a.score, b.score);
            expect_close(a.weights, b.weights);
            expect_close(a.added, b.added);
            if (!expected.unrotated_content.empty())
                expect_close(got.unrotated_content[i], expected.unrotated_content[i]);
        }
    }
}

std::vector<std::string> names(const std::vector<std::string>& encodings) {
    ModelSettings settings = small_settings(encodings.front());
    for (std::size_t n = 1; n < encodings.size(); ++n) settings.position.push_back(default_position(encodings[n]));
    const auto model = perturbed_model(settings, DType::float32);
    return explain_head(*model, RaggedBatch({5}, 11).input, 0, 0).summands;
}

TEST(HeadExplanationNames, BearTheEncodingThatBroughtTheTerm) {
    using Names = std::vector<std::string>;
    EXPECT_EQ(names({"none"}), Names{"content"});
    EXPECT_EQ(names({"relative_key"}), (Names{"content", "c2p"}));
    EXPECT_EQ(names({"disentangled"}), (Names{"content", "c2p", "p2c"}));
    EXPECT_EQ(names({"transformer_xl"}), (Names{"content", "u", "c2p", "v"}));
    EXPECT_EQ(names({"tupe"}), (Names{"content", "tupe channels", "tupe channels 2"}));
    EXPECT_EQ(names({"alibi", "absolute", "t5_bias"}), (Names{"content", "alibi bias", "t5_bias bias"}));
    EXPECT_EQ(names({"t5_bias", "disentangled", "alibi"}),
              (Names{"content", "c2p", "p2c", "t5_bias bias", "alibi bias"}));
}

TEST(HeadExplanationRotation, TellsTheContentWithoutItApart) {
    ModelSettings settings = small_settings("rope");
    settings.layers = 1;
    const RaggedBatch batch({6}, 11);
    const HeadExplanation turned = explain_head(*perturbed_model(settings, DType::float32), batch.input, 0, 1);
    settings.position = {default_position("none")};  // the same weights: they are drawn by name, in the same order
    const HeadExplanation plain = explain_head(*perturbed_model(settings, DType::float32), batch.input, 0, 1);
    EXPECT_TRUE(plain.unrotated_content.empty());
    ASSERT_EQ(turned.unrotated_content.size(), 6U);
    double moved = 0;
    for (std::size_t i = 0; i < 6; ++i) {
        const std::vector<double>&without = plain.queries[i].summands[0].values,
              &with = turned.queries[i].summands[0].values;
        for (std::size_t j = 0; j < 6; ++j) {
            EXPECT_NEAR(turned.unrotated_content[i][j], without[j], 1e-6);
            moved = std::max(moved, std::abs(with[j] - without[j]));
        }
    }
    EXPECT_GT(moved, 0.01);
}

TEST(HeadExplanationErrors, NameTheLayersAndHeadsThereAre) {
    const auto model = perturbed_model(small_settings("none"), DType::float32);
    const RaggedBatch batch({3}, 11);
    const auto message = [&](std::int64_t layer, std::int64_t head) -> std::string {
        try {
            explain_head(*model, batch.input, layer, head);
        } catch (const ConfigurationError& error) {
            return error.what();
        }
        return "none";
    };
    EXPECT_EQ(message(2, 0), "--layer 2: the model has 2 layers, 0 to 1");
    EXPECT_EQ(message(-1, 0), "--layer -1: the model has 2 layers, 0 to 1");
    EXPECT_EQ(message(0, 2), "--head 2: the model has 2 heads, 0 to 1");
    EXPECT_EQ(message(1, 1), "none");
    model->parameters().values().as<float>()[model->parameters().count() - 1] = NAN;  // not in the attention
    EXPECT_EQ(message(1, 1), "none");
    model->parameters().find("bert.encoder.layer.0.attention.self.query.weight")->value.as<float>()[0] = NAN;
    EXPECT_THROW(explain_head(*model, batch.input, 0, 0), NotFiniteError);
}

TEST(HeadExplanationCsv, HasARowForEachTermQueryAndKey) {
    const auto model = perturbed_model(small_settings("t5_bias"), DType::float32);
    const HeadExplanation explanation = explain_head(*model, RaggedBatch({2}, 11).input, 1, 0);
    const std::string csv = explanation_csv(explanation, {"a,b", "\""});
    EXPECT_EQ(csv.rfind("layer,head,term,query,key,query_token,key_token,value\n", 0), 0U) << csv;
    EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 6 * 4);  // content, bias, sum, score, weight, added
    const double bias = explanation.queries[0].summands[1].values[1];
    EXPECT_NE(csv.find(fmt::format("1,0,t5_bias bias,0,1,\"a,b\",\"\"\"\",{:.9g}\n", bias)), std::string::npos) << csv;
}

TEST(ForwardVisitor, ChangesNothing) {
    const auto model = perturbed_model(small_settings("disentangled"), DType::float32);
    const RaggedBatch batch({5, 2}, 11);
    int calls = 0;
    ForwardVisitor visitor;
    visitor.attended = [&](const ComputedAttention&) { ++calls; };
    visitor.embedded = [&](std::size_t, const Tensor&, const Tensor&) { ++calls; };
    const auto logits = [&](const ForwardVisitor* who) {
        Arena arena;
        Tape tape(arena);
        tape.set_recording(false);
        const RunMode mode = {.visitor = who};
        const Tensor x = model->logits(tape, model->encode(tape, batch.input, mode), batch.input, {}, mode).value();
        return std::vector<float>(x.as<float>(), x.as<float>() + x.count());
    };
    EXPECT_EQ(logits(nullptr), logits(&visitor));
    EXPECT_EQ(calls, 3);  // one encoding, two layers
}

}  // namespace
}  // namespace locus
