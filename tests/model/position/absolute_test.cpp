// The learned table and what stands past its end.
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

constexpr std::int64_t rows = 8, hidden = 6;

ModelSettings settings_beyond(const std::string& beyond) {
    ModelSettings settings = small_settings("absolute");
    settings.position[0].options["beyond"] = beyond;
    return settings;
}

// The vectors that the encoding adds at positions 0 .. length-1, under weights that are the same for every `beyond`.
std::vector<double> added(const std::string& beyond, std::int32_t length, const std::vector<double>& table) {
    const ModelSettings settings = settings_beyond(beyond);
    Parameters parameters(DType::float64);
    const auto encoding = find_encoding("absolute")->make(settings, settings.position[0]);
    encoding->declare_embedding_parameters(parameters, "");
    parameters.allocate();
    std::copy(table.begin(), table.end(), parameters.values().as<double>());
    const RaggedBatch batch({length}, 11);
    Arena arena;
    Tape tape(arena);
    const Tensor zero = tape.allocate({length, hidden}, DType::float64);
    std::fill_n(zero.as<double>(), zero.count(), 0.0);
    const Tensor sum = encoding->embed(tape, tape.constant(zero), batch.input).value();
    return {sum.as<double>(), sum.as<double>() + sum.count()};
}

std::vector<double> random_table() {
    std::vector<double> table(rows * hidden);
    testing::fill_random(table.data(), rows * hidden, 3);
    return table;
}

std::vector<double> row_of(const std::vector<double>& values, std::int64_t row) {
    return {values.begin() + row * hidden, values.begin() + (row + 1) * hidden};
}

TEST(Absolute, StartsAsWavesOfTheDeviationWhenAsked) {
    ModelSettings settings = small_settings("absolute");
    settings.position[0].options["initial"] = std::string("sinusoidal");
    MaskedLanguageModel model(settings, DType::float64);
    model.initialize(1);
    const double* const table =
        model.parameters().find("bert.embeddings.position_embeddings.weight")->value.as<double>();
    const double amplitude = settings.initializer_range * std::sqrt(2.0);
    for (int i = 0; i < rows; ++i) {
        for (int c = 0; c < hidden; ++c) {
            const double angle = i * std::pow(10000.0, -(c / 2 * 2) / static_cast<double>(hidden));
            EXPECT_NEAR(table[i * hidden + c], amplitude * (c % 2 == 0 ? std::sin(angle) : std::cos(angle)), 1e-15);
        }
    }
}

TEST(Absolute, EveryPolicyIsTheTableItselfWithinItsLength) {
    const std::vector<double> table = random_table();
    for (const char* beyond : {"error", "clip", "tile", "zero", "random", "interp", "hier"}) {
        EXPECT_EQ(largest_difference(added(beyond, rows, table), table), 0.0) << beyond;
    }
}

TEST(Absolute, PastTheTableEachPolicyDoesWhatItSays) {
    const std::vector<double> table = random_table(), zero(hidden, 0.0);
    EXPECT_EQ(row_of(added("clip", 13, table), 12), row_of(table, 7));
    EXPECT_EQ(row_of(added("tile", 13, table), 12), row_of(table, 4));
    EXPECT_EQ(row_of(added("zero", 13, table), 12), zero);
    // 15 positions over 8 rows: even positions are rows, odd ones lie half-way.
    const std::vector<double> stretched = added("interp", 15, table);
    for (std::int64_t i = 0; i < 15; ++i) {
        for (std::int64_t c = 0; c < hidden; ++c) {
            const auto at = [&](std::int64_t row) { return table[static_cast<std::size_t>(row * hidden + c)]; };
            const double expected = (at(i / 2) + at((i + 1) / 2)) / 2;
            EXPECT_NEAR(stretched[static_cast<std::size_t>(i * hidden + c)], expected, 1e-14) << i;
        }
    }
}

TEST(Absolute, HierarchicalPositionsFollowTheDecomposition) {
    const std::vector<double> table = random_table(), got = added("hier", 64, table);
    const double alpha = 0.4;
    for (std::int64_t i = 0; i < 64; ++i) {
        for (std::int64_t c = 0; c < hidden; ++c) {
            const auto base = [&](std::int64_t row) {
                return (table[static_cast<std::size_t>(row * hidden + c)] -
                        alpha * table[static_cast<std::size_t>(c)]) /
                       (1 - alpha);
            };
            const double expected = alpha * base(i / rows) + (1 - alpha) * base(i % rows);
            EXPECT_NEAR(got[static_cast<std::size_t>(i * hidden + c)], expected, 1e-13) << i << " " << c;
        }
    }
}

TEST(Absolute, RandomRowsAreFixedByPositionAndOfTheInitialSize) {
    const std::vector<double> table = random_table();
    const std::vector<double> longer = added("random", 200, table), shorter = added("random", 50, table);
    EXPECT_EQ(row_of(longer, 40), row_of(shorter, 40));
    EXPECT_NE(row_of(longer, 40), row_of(longer, 41));
    double square = 0;
    for (std::size_t n = rows * hidden; n < longer.size(); ++n) square += longer[n] * longer[n];
    EXPECT_NEAR(std::sqrt(square / static_cast<double>(192 * hidden)), 0.02, 0.002);
}

TEST(Absolute, GradientsFlowIntoTheRowsThatAPositionIsMadeOf) {
    for (const char* beyond : {"clip", "tile", "zero", "random", "interp", "hier"}) {
        ModelSettings settings = settings_beyond(beyond);
        settings.layers = 1;
        settings.max_length = 3;
        const auto model = perturbed_model(settings);
        const RaggedBatch batch({7, 2}, 11);
        SCOPED_TRACE(beyond);
        const auto f = [&](Tape& tape) {
            return model->logits(tape, model->encode(tape, batch.input, {}), batch.input, {});
        };
        testing::expect_gradients_match(model->parameters(), f, testing::key_biases(*model));
    }
}

TEST(Absolute, HierarchicalEndsAtTheSquareOfTheTable) {
    const auto model = perturbed_model(settings_beyond("hier"));
    EXPECT_EQ(model->longest_sequence(), 64);
    EXPECT_THROW(encode(*model, RaggedBatch({65}, 11).input), ModelError);
}

TEST(Absolute, AlphaMustFavourTheFinePosition) {
    ModelSettings settings = settings_beyond("hier");
    settings.position[0].options["hier_alpha"] = 0.5;
    EXPECT_THROW(MaskedLanguageModel(settings, DType::float32), ModelError);
}

}  // namespace
}  // namespace locus
