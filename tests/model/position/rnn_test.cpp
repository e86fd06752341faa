// What a recurrent net over the embeddings can and cannot tell.
#include <gtest/gtest.h>

#include "model/error.h"
#include "tests/model/position/embedded.h"

namespace locus {
namespace {

using testing::Embedded;
using testing::largest_difference;
using testing::logistic;
using testing::normals;

ModelSettings settings_of(const std::string& cell, const std::string& directions, const std::string& states) {
    return testing::recurrent_settings("rnn", "cell", cell, directions, states);
}

TEST(Rnn, AgreesWithValuesComputedByHand) {
    ModelSettings settings = settings_of("tanh", "forward", "replace");
    settings.hidden = 1;
    Embedded tanh(settings);
    tanh.set("weight_ih_l0", {2});
    tanh.set("bias_ih_l0", {0.1});
    tanh.set("weight_hh_l0", {-0.5});
    tanh.set("bias_hh_l0", {0.2});
    const double first = std::tanh(2 * 0.4 + 0.3), second = std::tanh(2 * -0.7 + 0.3 - 0.5 * first);
    EXPECT_LE(largest_difference(tanh({0.4, -0.7}), {first, second}), 1e-15);

    settings.position[0].options["cell"] = std::string("gru");
    Embedded gru(settings);
    gru.set("weight_ih_l0", {1, 2, 3});
    gru.set("bias_ih_l0", {0, 0, 0.1});
    gru.set("weight_hh_l0", {0.5, -1, 2});
    gru.set("bias_hh_l0", {0, 0, 0.2});
    const double a = (1 - logistic(0.8)) * std::tanh(1.2 + 0.1 + logistic(0.4) * 0.2);
    const double r = logistic(0.3 + 0.5 * a), z = logistic(0.6 - a), n = std::tanh(0.9 + 0.1 + r * (2 * a + 0.2));
    EXPECT_LE(largest_difference(gru({0.4, 0.3}), {a, (1 - z) * n + z * a}), 1e-15);

    settings.position[0].options["cell"] = std::string("lstm");
    Embedded lstm(settings);
    lstm.set("weight_ih_l0", {1, 2, 3, 4});
    lstm.set("bias_ih_l0", {0, 0, 0, 0.1});
    lstm.set("weight_hh_l0", {0, 0, 0, 1});
    lstm.set("bias_hh_l0", {0, 0, 0, 0});
    const double m1 = logistic(0.4) * std::tanh(1.2), h1 = logistic(1.7) * std::tanh(m1);
    const double m2 = logistic(0.6) * m1 + logistic(0.3) * std::tanh(0.9), h2 = logistic(1.3 + h1) * std::tanh(m2);
    EXPECT_LE(largest_difference(lstm({0.4, 0.3}), {h1, h2}), 1e-15);
}

TEST(Rnn, AddsItsStatesOrTakesThePlaceOfTheEmbeddings) {
    const std::vector<double> x = normals(5 * 6, 1);
    std::vector<double> sum = Embedded(settings_of("gru", "both", "replace"))(x);
    for (std::size_t n = 0; n < sum.size(); ++n) sum[n] += x[n];
    EXPECT_LE(largest_difference(Embedded(settings_of("gru", "both", "add"))(x), sum), 1e-15);
}

TEST(Rnn, OneDirectionSeesTheTokensBeforeAndTwoSeeBothSides) {
    for (const char* cell : {"tanh", "gru", "lstm"}) {
        for (const bool both : {false, true}) {
            Embedded rnn(settings_of(cell, both ? "both" : "forward", "add"));
            std::vector<double> x = normals(7 * 6, 1), before = rnn(x);
            x[3 * 6] += 1;  // token 3
            const std::vector<double> after = rnn(x);
            for (std::size_t i = 0; i < 7; ++i) {
                const double difference = largest_difference(rnn.row(after, i), rnn.row(before, i));
                EXPECT_EQ(difference > 1e-6, both || i >= 3) << cell << " " << i;
            }
        }
    }
}

TEST(Rnn, TheSecondDirectionIsTheFirstOnTheReversedSequence) {
    Embedded rnn(settings_of("lstm", "both", "replace"));
    for (const char* name : {"weight_ih_l0", "bias_ih_l0", "weight_hh_l0", "bias_hh_l0"}) {
        const std::string full = std::string("position_embeddings.rnn.") + name;
        const Parameter& right = *rnn.parameters.find(full);
        const double* const values = right.value.as<double>();
        rnn.set(full + "_reverse", {values, values + right.value.count()});
    }
    const std::vector<double> x = normals(5 * 6, 1);
    std::vector<double> mirrored;
    for (std::size_t i = 5; i-- > 0;)
        mirrored.insert(mirrored.end(), x.begin() + static_cast<std::ptrdiff_t>(i * 6),
                        x.begin() + static_cast<std::ptrdiff_t>(i * 6 + 6));
    const std::vector<double> states = rnn(x), of_mirrored = rnn(mirrored);
    for (std::size_t i = 0; i < 5; ++i) {
        for (std::size_t c = 0; c < 3; ++c) EXPECT_EQ(states[i * 6 + c], of_mirrored[(4 - i) * 6 + 3 + c]);
    }
}

// Local order survives at any distance; the index does not: after a long run of one token the states have settled.
TEST(Rnn, FarFromTheStartItKnowsWhatCameJustBeforeButNotWhereItIs) {
    Embedded rnn(settings_of("gru", "forward", "replace"), 0.3);
    const std::size_t length = 400;
    std::vector<double> x;
    const std::vector<double> token = normals(6, 1), other = normals(6, 2);
    for (std::size_t i = 0; i < length; ++i) {
        const std::vector<double>& here = i == 200 || i == 301 ? other : token;
        x.insert(x.end(), here.begin(), here.end());
    }
    const std::vector<double> states = rnn(x);
    EXPECT_GT(largest_difference(rnn.row(states, 1), rnn.row(states, 0)), 1e-2);
    EXPECT_LE(largest_difference(rnn.row(states, 199), rnn.row(states, 190)), 1e-10);
    EXPECT_GT(largest_difference(rnn.row(states, 201), rnn.row(states, 199)), 1e-2);
    EXPECT_LE(largest_difference(rnn.row(states, 201), rnn.row(states, 302)), 1e-10);
    for (const double value : states) EXPECT_LT(std::abs(value), 1.0);
}

TEST(Rnn, HalvesNeedAnEvenNumberOfColumns) {
    ModelSettings settings = settings_of("gru", "both", "add");
    settings.hidden = 7;
    settings.heads = 1;
    EXPECT_THROW(MaskedLanguageModel(settings, DType::float32), ModelError);
    settings.position[0].options["directions"] = std::string("forward");
    EXPECT_NO_THROW(MaskedLanguageModel(settings, DType::float32));
}

TEST(Rnn, GradientsOfEveryVariantMatchCentralDifferences) {
    for (const char* cell : {"tanh", "gru", "lstm"}) {
        for (const char* directions : {"both", "forward"}) {
            ModelSettings settings = settings_of(cell, directions, directions[0] == 'b' ? "replace" : "add");
            settings.layers = 1;
            const auto model = testing::perturbed_model(settings);
            const testing::RaggedBatch batch({4, 1, 3}, 11);
            const auto f = [&](Tape& tape) { return model->encode(tape, batch.input, {}); };
            SCOPED_TRACE(std::string(cell) + " " + directions);
            // The masked-LM head takes no part in encode().
            std::vector<std::string> unused = testing::key_biases(*model);
            for (const Parameter& parameter : model->parameters().all()) {
                if (parameter.name.starts_with("cls.")) unused.push_back(parameter.name);
            }
            testing::expect_gradients_match(model->parameters(), f, unused);
        }
    }
}

}  // namespace
}  // namespace locus
