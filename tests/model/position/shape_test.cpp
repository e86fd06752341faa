#include <gtest/gtest.h>

#include <set>

#include "model/error.h"
#include "tests/model/small_model.h"

namespace locus {
namespace {

using testing::largest_difference;
using testing::perturbed_model;
using testing::RaggedBatch;
using testing::small_settings;

PositionSettings shape(std::int64_t offsets) {
    PositionSettings position = default_position("shape");
    position.options["offsets"] = offsets;
    return position;
}

RunMode training(std::uint32_t step) { return {.training = true, .seed = 3, .step = step}; }

std::vector<std::int32_t> positions(std::int64_t offsets, const ModelInput& input, const RunMode& mode) {
    const auto encoding = find_encoding("shape")->make(small_settings("none"), shape(offsets));
    Arena arena;
    Tape tape(arena);
    const ModelInput shifted = encoding->renumber(tape, input, mode);
    const auto* const begin = shifted.rows.positions.as<std::int32_t>();
    EXPECT_EQ(shifted.longest, *std::max_element(begin, begin + shifted.rows.positions.count()) + 1);
    return {begin, begin + shifted.rows.positions.count()};
}

// Encoded rows in training mode, without dropout.
std::vector<double> encode(const MaskedLanguageModel& model, const ModelInput& input, const RunMode& mode) {
    Arena arena;
    Tape tape(arena);
    tape.set_recording(false);
    const Tensor hidden = model.encode(tape, input, mode).value();
    return {hidden.as<double>(), hidden.as<double>() + hidden.count()};
}

TEST(ShapeEncoding, ASequenceIsShiftedAsAWhole) {
    const RaggedBatch batch({4, 1, 3}, 11);
    std::set<std::int32_t> begins, others;
    for (std::uint32_t step = 0; step < 200; ++step) {
        const std::vector<std::int32_t> at = positions(7, batch.input, training(step));
        for (std::size_t n = 1; n < 4; ++n) EXPECT_EQ(at[n], at[n - 1] + 1);
        begins.insert(at[0]);
        others.insert(at[5] - at[0]);
    }
    EXPECT_EQ(begins, (std::set<std::int32_t>{0, 1, 2, 3, 4, 5, 6}));  // 0 .. K - 1
    EXPECT_GT(others.size(), 5U);                                      // each sequence draws its own
}

TEST(ShapeEncoding, ByDefaultASequenceMayStandWhereverTheTableHasRoom) {
    std::set<std::int32_t> begins, whole;
    const RaggedBatch batch({5, 8}, 11);
    for (std::uint32_t step = 0; step < 200; ++step) {
        const std::vector<std::int32_t> at = positions(0, batch.input, training(step));  // max_length is 8
        begins.insert(at[0]);
        whole.insert(at[5]);
    }
    EXPECT_EQ(begins, (std::set<std::int32_t>{0, 1, 2, 3}));
    EXPECT_EQ(whole, (std::set<std::int32_t>{0}));
}

TEST(ShapeEncoding, OutsideTrainingSequencesBeginAtZero) {
    EXPECT_EQ(positions(100, RaggedBatch({3}, 11).input, {}), (std::vector<std::int32_t>{0, 1, 2}));
}

TEST(ShapeEncoding, AStepDrawsTheSameTwiceAndForMicroBatches) {
    const RaggedBatch batch({3, 3}, 11);
    const std::vector<std::int32_t> both = positions(1000, batch.input, training(5));
    EXPECT_EQ(both, positions(1000, batch.input, training(5)));
    RaggedBatch alone({3}, 11);
    alone.sequences.assign(3, 1);
    alone.refresh();
    const std::vector<std::int32_t> second = positions(1000, alone.input, training(5));
    EXPECT_TRUE(std::equal(second.begin(), second.end(), both.begin() + 3));
}

TEST(ShapeEncoding, MovesAnAbsoluteEncodingAndLeavesARelativeOneAlone) {
    const auto difference = [](const char* other) {
        ModelSettings settings = small_settings(other);
        settings.hidden_dropout = settings.attention_dropout = 0;
        // Short, so that FIRE measures distances by the longest one in the batch.
        if (std::string(other) == "fire") settings.position[0].options["threshold"] = std::int64_t{1};
        const auto plain = perturbed_model(settings);
        settings.position.push_back(shape(4));
        const auto shifted = perturbed_model(settings);
        const RaggedBatch batch({5, 4, 3}, 11);
        return largest_difference(encode(*shifted, batch.input, training(1)), encode(*plain, batch.input, training(1)));
    };
    EXPECT_GT(difference("absolute"), 1e-3);
    EXPECT_GT(difference("tupe"), 1e-3);
    for (const char* relative :
         {"relative_key", "t5_bias", "alibi", "kerple", "fire", "transformer_xl", "shaw", "rope"})
        EXPECT_LE(difference(relative), 1e-12) << relative;
}

TEST(ShapeEncoding, ATableMustReachTheLastOffset) {
    ModelSettings settings = small_settings("absolute");  // eight rows
    settings.position.push_back(shape(9));
    EXPECT_THROW(make_encodings(settings), ModelError);
    settings.position[1] = shape(8);  // enough for sequences of one token: longer ones show it in training
    const auto model = perturbed_model(settings);
    const RaggedBatch batch({8}, 11);
    try {
        for (std::uint32_t step = 0; step < 50; ++step) encode(*model, batch.input, training(step));
        FAIL() << "a sequence was moved past the table";
    } catch (const ModelError& error) {
        EXPECT_NE(std::string(error.what()).find("and the position table has 8 rows; raise model.max_length"),
                  std::string::npos)
            << error.what();
    }
    EXPECT_THROW(find_encoding("shape")->make(settings, shape(-1)), ModelError);
}

}  // namespace
}  // namespace locus
