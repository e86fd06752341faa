#include <gtest/gtest.h>

#include "model/error.h"
#include "tests/model/small_model.h"

namespace locus {
namespace {

using testing::RaggedBatch;
using testing::small_settings;

std::vector<double> table_of(const ModelSettings& settings, std::int32_t length) {
    const auto encoding = find_encoding("sinusoidal")->make(settings, settings.position[0]);
    const RaggedBatch batch({length}, 11);
    Arena arena;
    Tape tape(arena);
    const Tensor zero = tape.allocate({length, settings.hidden}, DType::float64);
    std::fill_n(zero.as<double>(), zero.count(), 0.0);
    const Tensor sum = encoding->embed(tape, tape.constant(zero), batch.input).value();
    return {sum.as<double>(), sum.as<double>() + sum.count()};
}

TEST(Sinusoidal, AgreesWithValuesComputedByHand) {
    ModelSettings settings = small_settings("sinusoidal");
    settings.hidden = 4;
    settings.position[0].options["scale"] = 1.0;
    const std::vector<double> table = table_of(settings, 3);
    // Channels 0, 1 turn by 1 radian a position, channels 2, 3 by 1/100.
    const double expected[] = {0,
                               1,
                               0,
                               1,
                               std::sin(1.0),
                               std::cos(1.0),
                               std::sin(0.01),
                               std::cos(0.01),
                               std::sin(2.0),
                               std::cos(2.0),
                               std::sin(0.02),
                               std::cos(0.02)};
    for (std::size_t n = 0; n < 12; ++n) EXPECT_NEAR(table[n], expected[n], 1e-15) << n;
}

TEST(Sinusoidal, InnerProductsDependOnTheDistanceAloneAndNotOnItsSign) {
    ModelSettings settings = small_settings("sinusoidal");
    const std::vector<double> table = table_of(settings, 40);
    const auto product = [&](std::size_t i, std::size_t j) {
        double sum = 0;
        for (std::size_t c = 0; c < 6; ++c) sum += table[i * 6 + c] * table[j * 6 + c];
        return sum;
    };
    for (std::size_t shift = 0; shift < 30; ++shift) {
        EXPECT_NEAR(product(shift, shift + 7), product(3, 10), 1e-15);
        EXPECT_NEAR(product(shift + 7, shift), product(3, 10), 1e-15);
    }
    EXPECT_GT(std::abs(product(0, 7) - product(0, 8)), 1e-5);
}

TEST(Sinusoidal, OptionsOutOfRangeAreRefused) {
    ModelSettings settings = small_settings("sinusoidal");
    settings.position[0].options["base"] = 1.0;
    EXPECT_THROW(MaskedLanguageModel(settings, DType::float32), ModelError);
    settings.position[0] = default_position("sinusoidal");
    settings.position[0].options["scale"] = 0.0;
    EXPECT_THROW(MaskedLanguageModel(settings, DType::float32), ModelError);
}

}  // namespace
}  // namespace locus
