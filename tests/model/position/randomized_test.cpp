#include <gtest/gtest.h>

#include <set>

#include "model/error.h"
#include "tests/model/small_model.h"

namespace locus {
namespace {

using testing::encode;
using testing::largest_difference;
using testing::perturbed_model;
using testing::RaggedBatch;
using testing::small_settings;

PositionSettings randomized(std::int64_t range, const char* evaluation = "in_order") {
    PositionSettings position = default_position("randomized");
    position.options["range"] = range;
    position.options["evaluation"] = std::string(evaluation);
    return position;
}

struct Drawn {
    std::vector<std::int32_t> positions;
    std::int64_t longest;
};

Drawn draw(const PositionSettings& position, const ModelInput& input, const RunMode& mode) {
    const auto encoding = find_encoding("randomized")->make(small_settings("none"), position);
    Arena arena;
    Tape tape(arena);
    const ModelInput placed = encoding->renumber(tape, input, mode);
    const auto* const begin = placed.rows.positions.as<std::int32_t>();
    return {{begin, begin + placed.rows.positions.count()}, placed.longest};
}

TEST(Randomized, PositionsRiseWithinTheRange) {
    const RaggedBatch batch({5, 1, 16}, 11);
    for (std::uint32_t step = 0; step < 50; ++step) {
        const Drawn drawn = draw(randomized(16), batch.input, {.training = true, .seed = 3, .step = step});
        std::int32_t largest = 0;
        for (std::size_t n = 0; n < drawn.positions.size(); ++n) {
            ASSERT_TRUE(drawn.positions[n] >= 0 && drawn.positions[n] < 16);
            const bool begins = n == 0 || n == 5 || n == 6;
            EXPECT_TRUE(begins || drawn.positions[n - 1] < drawn.positions[n]);
            largest = std::max(largest, drawn.positions[n]);
        }
        EXPECT_EQ(drawn.longest, largest + 1);
        EXPECT_EQ(drawn.positions[6], 0);  // sixteen tokens in sixteen places: nothing to choose
        EXPECT_EQ(drawn.positions[21], 15);
    }
}

TEST(Randomized, EverySubsetIsEquallyLikely) {
    const RaggedBatch batch({2}, 11);
    std::map<std::pair<std::int32_t, std::int32_t>, int> seen;
    constexpr int draws = 10000;
    for (std::uint32_t step = 0; step < draws; ++step) {
        const Drawn drawn = draw(randomized(5), batch.input, {.training = true, .seed = 1, .step = step});
        ++seen[{drawn.positions[0], drawn.positions[1]}];
    }
    ASSERT_EQ(seen.size(), 10U);  // 5 over 2
    double chi_squared = 0;
    for (const auto& [pair, count] : seen)
        chi_squared += (count - draws / 10.0) * (count - draws / 10.0) / (draws / 10.0);
    EXPECT_LT(chi_squared, 27.9);  // 9 degrees of freedom: one in a thousand
}

TEST(Randomized, SequencesAndStepsDrawAnewAndTheSameTwice) {
    const RaggedBatch batch({6, 6}, 11);
    const RunMode mode = {.training = true, .seed = 3, .step = 7}, next = {.training = true, .seed = 3, .step = 8};
    const Drawn first = draw(randomized(1000), batch.input, mode), again = draw(randomized(1000), batch.input, mode);
    EXPECT_EQ(first.positions, again.positions);
    EXPECT_NE(first.positions, draw(randomized(1000), batch.input, next).positions);
    EXPECT_FALSE(std::equal(first.positions.begin(), first.positions.begin() + 6, first.positions.begin() + 6));
    // The same sequences as a later micro-batch of a larger batch: sequence 1 alone draws what it drew beside sequence 0.
    RaggedBatch alone({6}, 11);
    alone.sequences.assign(6, 1);
    alone.refresh();
    const Drawn second = draw(randomized(1000), alone.input, mode);
    EXPECT_TRUE(std::equal(second.positions.begin(), second.positions.end(), first.positions.begin() + 6));
}

TEST(Randomized, OutsideTrainingPositionsAreInOrderOrDrawnIfAsked) {
    const RaggedBatch batch({6}, 11);
    EXPECT_EQ(draw(randomized(1000), batch.input, {}).positions, (std::vector<std::int32_t>{0, 1, 2, 3, 4, 5}));
    const Drawn drawn = draw(randomized(1000, "drawn"), batch.input, {});
    EXPECT_NE(drawn.positions[5], 5);
    EXPECT_EQ(drawn.positions, draw(randomized(1000, "drawn"), batch.input, {}).positions);
}

TEST(Randomized, TheOtherEncodingsSeeTheDrawnPositions) {
    for (const char* other : {"absolute", "relative_key", "rope", "kerple"}) {
        ModelSettings settings = small_settings(other);
        const auto plain = perturbed_model(settings);
        settings.position.push_back(randomized(8, "drawn"));
        const auto model = perturbed_model(settings);
        RaggedBatch batch({5, 3}, 11);
        const std::vector<double> got = encode(*model, batch.input);
        const std::vector<double> in_order = encode(*plain, batch.input);
        EXPECT_GT(largest_difference(got, in_order), 1e-3) << other;
        batch.positions = draw(randomized(8, "drawn"), batch.input, {}).positions;
        batch.refresh();
        EXPECT_LE(largest_difference(got, encode(*plain, batch.input)), 1e-12) << other;
    }
}

TEST(Randomized, AloneItDoesNothing) {
    ModelSettings settings = small_settings("none");
    const auto plain = perturbed_model(settings);
    settings.position = {randomized(8, "drawn")};
    const RaggedBatch batch({5, 3}, 11);
    EXPECT_EQ(largest_difference(encode(*perturbed_model(settings), batch.input), encode(*plain, batch.input)), 0.0);
}

TEST(Randomized, RangeIsMaxLengthByDefaultAndHoldsASequence) {
    const RunMode mode = {.training = true, .seed = 3, .step = 7};
    EXPECT_EQ(draw(randomized(0), RaggedBatch({8}, 11).input, mode).positions.back(), 7);
    const RaggedBatch batch({9}, 11);
    try {
        draw(randomized(0), batch.input, mode);
        FAIL() << "nine tokens found eight places";
    } catch (const ModelError& error) {
        EXPECT_STREQ(error.what(),
                     "a sequence of 9 tokens has no room in the 8 positions of randomized; raise model.position.range");
    }
    EXPECT_EQ(draw(randomized(0), batch.input, {}).positions.back(), 8);  // outside training it may be longer
    ModelSettings settings = small_settings("rope");
    settings.position.push_back(randomized(32));
    EXPECT_EQ(MaskedLanguageModel(settings, DType::float32).longest_sequence(), 0);
    settings.position[1] = randomized(32, "drawn");
    EXPECT_EQ(MaskedLanguageModel(settings, DType::float32).longest_sequence(), 32);
    EXPECT_THROW(find_encoding("randomized")->make(settings, randomized(-1)), ModelError);
}

TEST(Randomized, ATableMustHaveARowForEveryPlace) {
    ModelSettings settings = small_settings("absolute");  // eight rows
    settings.position.push_back(randomized(9));
    try {
        make_encodings(settings);
        FAIL() << "nine places went into eight rows";
    } catch (const ModelError& error) {
        EXPECT_STREQ(error.what(),
                     "model.position: randomized draws from 9 positions, and absolute takes no more than 8; raise "
                     "model.max_length or draw from fewer");
    }
    settings.position[0].options["beyond"] = std::string("clip");
    EXPECT_NO_THROW(make_encodings(settings));
    settings.position = {default_position("rope"), randomized(8), default_position("shape")};
    EXPECT_THROW(make_encodings(settings), ModelError);
}

}  // namespace
}  // namespace locus
