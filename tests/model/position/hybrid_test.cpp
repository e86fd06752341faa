// A fixed half and a learned half.
#include <gtest/gtest.h>

#include "model/error.h"
#include "tests/model/position/embedded.h"

namespace locus {
namespace {

using testing::Embedded;
using testing::largest_difference;
using testing::small_settings;

ModelSettings settings_of(const std::string& beyond) {
    ModelSettings settings = small_settings("hybrid");
    settings.hidden = 8;
    settings.position[0].options["beyond"] = beyond;
    return settings;
}

std::vector<double> positions(const ModelSettings& settings, std::size_t count) {
    return Embedded(settings)(std::vector<double>(count * 8, 0.0));
}

// Columns 0..3 or 4..7 of a row.
std::vector<double> half(const std::vector<double>& values, std::size_t row, std::size_t which) {
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(row * 8 + which * 4);
    return {begin, begin + 4};
}

TEST(Hybrid, IsWavesInTheFirstHalfAndRowsInTheSecond) {
    ModelSettings settings = settings_of("error");
    settings.position[0].options["base"] = 100.0;
    settings.position[0].options["scale"] = 2.0;
    const std::vector<double> got = positions(settings, 8);
    const Embedded same(settings);
    const double* const table = same.parameters.values().as<double>();
    ASSERT_EQ(same.parameters.count(), 8 * 4);
    for (std::size_t i = 0; i < 8; ++i) {
        const double t = static_cast<double>(i);  // two pairs: 1 radian and 1/10 a position
        EXPECT_LE(largest_difference(half(got, i, 0),
                                     {2 * std::sin(t), 2 * std::cos(t), 2 * std::sin(t / 10), 2 * std::cos(t / 10)}),
                  1e-14);
        EXPECT_EQ(half(got, i, 1), std::vector<double>(table + i * 4, table + i * 4 + 4));
    }
}

TEST(Hybrid, PastTheTableTheWavesGoOnAndTheRowsDoWhatBeyondSays) {
    const std::vector<double> within = positions(settings_of("error"), 8);
    for (const char* beyond : {"clip", "tile", "zero", "random", "interp", "hier"}) {
        const std::vector<double> got = positions(settings_of(beyond), 20);
        EXPECT_NEAR(got[19 * 8], 0.02 * std::sin(19.0), 1e-15) << beyond;
        EXPECT_NEAR(got[19 * 8 + 3], 0.02 * std::cos(0.19), 1e-15) << beyond;
    }
    EXPECT_EQ(half(positions(settings_of("clip"), 20), 19, 1), half(within, 7, 1));
    EXPECT_EQ(half(positions(settings_of("tile"), 20), 19, 1), half(within, 3, 1));
    EXPECT_EQ(half(positions(settings_of("zero"), 20), 19, 1), std::vector<double>(4, 0.0));
    EXPECT_EQ(half(positions(settings_of("interp"), 20), 19, 1), half(within, 7, 1));
    const std::vector<double> random = positions(settings_of("random"), 20), hier = positions(settings_of("hier"), 20);
    EXPECT_NE(half(random, 19, 1), half(random, 18, 1));
    ModelSettings weighted = settings_of("hier");
    weighted.position[0].options["hier_alpha"] = 0.3;
    EXPECT_GT(largest_difference(half(positions(weighted, 20), 19, 1), half(hier, 19, 1)), 1e-3);
}

TEST(Hybrid, TheLongestSequenceIsThatOfItsLearnedHalf) {
    EXPECT_EQ(MaskedLanguageModel(settings_of("error"), DType::float32).longest_sequence(), 8);
    EXPECT_EQ(MaskedLanguageModel(settings_of("hier"), DType::float32).longest_sequence(), 64);
    EXPECT_EQ(MaskedLanguageModel(settings_of("zero"), DType::float32).longest_sequence(), 0);
}

TEST(Hybrid, GradientsFlowIntoTheRowsThatAPositionIsMadeOf) {
    for (const char* beyond : {"clip", "interp", "random"}) {
        ModelSettings settings = settings_of(beyond);
        settings.layers = 1;
        settings.max_length = 3;
        const auto model = testing::perturbed_model(settings);
        const testing::RaggedBatch batch({7, 2}, 11);
        SCOPED_TRACE(beyond);
        const auto f = [&](Tape& tape) {
            return model->logits(tape, model->encode(tape, batch.input, {}), batch.input, {});
        };
        testing::expect_gradients_match(model->parameters(), f, testing::key_biases(*model));
    }
}

TEST(Hybrid, OptionsOutOfRangeAreRefused) {
    const std::pair<const char*, double> outside[] = {{"base", 1.0}, {"scale", 0.0}, {"hier_alpha", 0.5}};
    for (const auto& [option, value] : outside) {
        ModelSettings settings = settings_of("zero");
        settings.position[0].options[option] = value;
        EXPECT_THROW(MaskedLanguageModel(settings, DType::float32), ModelError) << option;
    }
    ModelSettings odd = settings_of("zero");
    odd.hidden = 7;
    odd.heads = 1;
    EXPECT_THROW(MaskedLanguageModel(odd, DType::float32), ModelError);
}

}  // namespace
}  // namespace locus
