// What a recurrence that is linear in its state can and cannot tell.
#include <gtest/gtest.h>

#include <complex>
#include <numbers>

#include "model/error.h"
#include "tests/model/position/embedded.h"

namespace locus {
namespace {

using testing::Embedded;
using testing::largest_difference;
using testing::logistic;
using testing::normals;

ModelSettings settings_of(const std::string& variant, const std::string& directions, const std::string& states) {
    return testing::recurrent_settings("linear_recurrence", "variant", variant, directions, states);
}

TEST(LinearRecurrence, MinGruAgreesWithValuesComputedByHand) {
    ModelSettings settings = settings_of("mingru", "forward", "replace");
    settings.hidden = 1;
    Embedded min_gru(settings);
    min_gru.set("min_gru.weight", {2, -1});  // W_z, W_h
    const double first = logistic(0.8) * logistic(-0.4), z = logistic(-1.4);
    EXPECT_LE(largest_difference(min_gru({0.4, -0.7}), {first, (1 - z) * first + z * (0.7 + 0.5)}), 1e-15);
}

TEST(LinearRecurrence, LruAgreesWithValuesComputedByHand) {
    ModelSettings settings = settings_of("lru", "forward", "replace");
    settings.hidden = 1;
    settings.position[0].options["state"] = std::int64_t{1};
    Embedded lru(settings);
    lru.set("nu", {std::log(std::log(2.0))});          // |l| = 1/2
    lru.set("phi", {std::log(std::numbers::pi / 2)});  // a quarter turn: l = i / 2
    lru.set("log_c", {std::log(3.0)});
    lru.set("input.weight", {1, 2});    // B = 1 + 2 i
    lru.set("output.weight", {5, -7});  // C = 5 + 7 i
    lru.set("skip.weight", {10});
    // h_0 = 3 (1 + 2 i), h_1 = i/2 h_0 + 3 (1 + 2 i) * 2 = -3 + 1.5 i + 6 + 12 i; Re(C h) = 5 Re h - 7 Im h
    EXPECT_LE(largest_difference(lru({1, 2}), {15 - 42 + 10, 5 * 3 - 7 * 13.5 + 20}), 1e-13);
}

TEST(LinearRecurrence, AddsItsStatesOrTakesThePlaceOfTheEmbeddings) {
    const std::vector<double> x = normals(5 * 6, 1);
    for (const char* variant : {"mingru", "lru"}) {
        std::vector<double> sum = Embedded(settings_of(variant, "both", "replace"))(x);
        for (std::size_t n = 0; n < sum.size(); ++n) sum[n] += x[n];
        EXPECT_LE(largest_difference(Embedded(settings_of(variant, "both", "add"))(x), sum), 1e-15);
    }
}

TEST(LinearRecurrence, OneDirectionSeesTheTokensBeforeAndTwoSeeBothSides) {
    for (const char* variant : {"mingru", "lru"}) {
        for (const bool both : {false, true}) {
            Embedded net(settings_of(variant, both ? "both" : "forward", "add"));
            std::vector<double> x = normals(7 * 6, 1);
            const std::vector<double> before = net(x);
            x[3 * 6] += 1;  // token 3
            const std::vector<double> after = net(x);
            for (std::size_t i = 0; i < 7; ++i) {
                const double difference = largest_difference(net.row(after, i), net.row(before, i));
                EXPECT_EQ(difference > 1e-6, both || i >= 3) << variant << " " << i;
            }
        }
    }
}

// LRU is linear in the tokens as a whole; minGRU, whose gates depend on them, is not.
TEST(LinearRecurrence, LruIsLinearInItsInputAndMinGruIsNot) {
    const std::vector<double> a = normals(9 * 6, 1), b = normals(9 * 6, 2);
    std::vector<double> sum = a;
    for (std::size_t n = 0; n < sum.size(); ++n) sum[n] += b[n];
    for (const char* variant : {"mingru", "lru"}) {
        Embedded net(settings_of(variant, "both", "replace"));
        std::vector<double> expected = net(a);
        const std::vector<double> of_b = net(b);
        for (std::size_t n = 0; n < expected.size(); ++n) expected[n] += of_b[n];
        EXPECT_EQ(largest_difference(net(sum), expected) <= 1e-12, variant == std::string("lru"));
    }
}

TEST(LinearRecurrence, StatesStayWithinBoundsAtAnyLengthAndTheIndexFades) {
    const std::vector<double> token = normals(6, 1);
    std::vector<double> x;
    for (int i = 0; i < 4000; ++i) x.insert(x.end(), token.begin(), token.end());
    for (const char* variant : {"mingru", "lru"}) {
        Embedded net(settings_of(variant, "forward", "replace"));
        const std::vector<double> y = net(x);
        for (const double value : y) ASSERT_LT(std::abs(value), 100);
        EXPECT_GT(largest_difference(net.row(y, 1), net.row(y, 0)), 1e-2) << variant;
        EXPECT_LE(largest_difference(net.row(y, 3999), net.row(y, 3000)), 1e-9) << variant;
    }
}

TEST(LinearRecurrence, LruStartsOnItsRing) {
    for (const char* directions : {"forward", "both"}) {
        ModelSettings settings = settings_of("lru", directions, "add");
        settings.position[0].options["state"] = std::int64_t{10};
        settings.position[0].options["radius_min"] = 0.5;
        settings.position[0].options["radius_max"] = 0.8;
        settings.position[0].options["max_phase"] = 0.3;
        MaskedLanguageModel model(settings, DType::float64);
        model.initialize(1);
        const auto values = [&](const char* name) {
            return model.parameters()
                .find(std::string("bert.embeddings.position_embeddings.lru.") + name)
                ->value.as<double>();
        };
        const int of_direction = directions[0] == 'b' ? 5 : 10;  // each has the whole ring
        for (int first = 0; first < 10; first += of_direction) {
            double inner = 1, outer = 0, mean = 0;
            for (int m = first; m < first + of_direction; ++m) {
                const double radius = std::exp(-std::exp(values("nu")[m])), phase = std::exp(values("phi")[m]);
                EXPECT_TRUE(radius > 0.5 && radius < 0.8 && phase > 0 && phase < 0.3) << radius << " " << phase;
                EXPECT_NEAR(std::exp(values("log_c")[m]), std::sqrt(1 - radius * radius), 1e-12);
                inner = std::min(inner, radius);
                outer = std::max(outer, radius);
                mean += phase / of_direction;
            }
            EXPECT_LT(inner, 0.56);
            EXPECT_GT(outer, 0.76);
            EXPECT_NEAR(mean, 0.15, 0.04);
        }
    }
}

TEST(LinearRecurrence, ParametersOfLruAreAsManyAsTheFormulaSays) {
    for (const char* directions : {"forward", "both"}) {
        ModelSettings settings = settings_of("lru", directions, "add");
        settings.position[0].options["state"] = std::int64_t{4};
        const Embedded lru(settings);
        EXPECT_EQ(lru.parameters.count(), 3 * 4 + 4 * 4 * 6 + 6);
        settings.position[0].options["state"] = std::int64_t{0};
        EXPECT_EQ(Embedded(settings).parameters.find("position_embeddings.lru.nu")->value.count(),
                  directions[0] == 'f' ? 3 : 4);
    }
}

TEST(LinearRecurrence, OptionsOutOfRangeAreRefused) {
    const auto refuses = [](const ModelSettings& settings) {
        EXPECT_THROW(MaskedLanguageModel(settings, DType::float32), ModelError);
    };
    ModelSettings settings = settings_of("mingru", "both", "add");
    settings.hidden = 7;
    settings.heads = 1;
    refuses(settings);
    settings = settings_of("mingru", "both", "add");
    settings.position[0].options["state"] = std::int64_t{4};
    refuses(settings);
    for (const std::int64_t state : {-1, 3}) {
        settings = settings_of("lru", "both", "add");
        settings.position[0].options["state"] = state;
        refuses(settings);
    }
    const std::pair<const char*, double> outside[] = {
        {"radius_min", -0.1}, {"radius_min", 0.9995}, {"radius_max", 1.0}, {"max_phase", 0.0}, {"max_phase", 7.0}};
    for (const auto& [option, value] : outside) {
        settings = settings_of("lru", "both", "add");
        settings.position[0].options[option] = value;
        refuses(settings);
    }
}

TEST(LinearRecurrence, GradientsOfEveryVariantMatchCentralDifferences) {
    for (const char* variant : {"mingru", "lru"}) {
        for (const char* directions : {"both", "forward"}) {
            ModelSettings settings = settings_of(variant, directions, directions[0] == 'b' ? "replace" : "add");
            settings.layers = 1;
            const auto model = testing::perturbed_model(settings);
            const testing::RaggedBatch batch({4, 1, 3}, 11);
            const auto f = [&](Tape& tape) {
                return model->logits(tape, model->encode(tape, batch.input, {}), batch.input, {});
            };
            SCOPED_TRACE(std::string(variant) + " " + directions);
            testing::expect_gradients_match(model->parameters(), f, testing::key_biases(*model));
        }
    }
}

}  // namespace
}  // namespace locus
