#include <gtest/gtest.h>

#include "model/error.h"
#include "tests/model/position/embedded.h"

namespace locus {
namespace {

using testing::Embedded;
using testing::encode;
using testing::RaggedBatch;
using testing::small_settings;

TEST(Scalar, AddsTheIndexToOneChannelOfEachSequence) {
    ModelSettings settings = small_settings("scalar");
    settings.hidden = 2;
    settings.position[0].options["scale"] = 0.5;
    settings.position[0].options["channel"] = std::int64_t{1};
    const RaggedBatch batch({3, 2}, 11);
    const std::vector<double> x = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    EXPECT_EQ(Embedded(settings)(x, batch.input), (std::vector<double>{1, 2, 3, 4.5, 5, 7, 7, 8, 9, 10.5}));
}

// The forum's toy: 0..9 added to 0.0..0.9.
TEST(Scalar, ReproducesTheToy) {
    ModelSettings settings = small_settings("scalar");
    settings.hidden = 1;
    std::vector<double> data, expected;
    for (int i = 0; i < 10; ++i) {
        data.push_back(i / 10.0);
        expected.push_back(i + i / 10.0);
    }
    EXPECT_LE(testing::largest_difference(Embedded(settings)(data), expected), 1e-15);
}

// How far apart two different words are after the first layer norm, at position i.
double difference_of_words(std::int32_t i) {
    ModelSettings settings = small_settings("scalar");
    settings.layers = 1;
    MaskedLanguageModel model(settings, DType::float64);
    model.initialize(1);
    RaggedBatch one({i + 1}, 11), other({i + 1}, 11);
    one.ids.back() = 3;
    other.ids.back() = 5;
    one.refresh();
    other.refresh();
    std::vector<double> values[2];
    for (const RaggedBatch* batch : {&one, &other}) {
        Arena arena;
        Tape tape(arena);
        tape.set_recording(false);
        model.encode(tape, batch->input, {}, [&](std::int64_t layer, const Tensor& hidden) {
            const double* const last = hidden.as<double>() + i * settings.hidden;
            if (layer == 0) values[batch == &other].assign(last, last + settings.hidden);
        });
    }
    return testing::largest_difference(values[0], values[1]);
}

TEST(Scalar, DrownsTheWordsAsTheIndexGrows) {
    const double at_start = difference_of_words(0), later = difference_of_words(10), far = difference_of_words(1000);
    EXPECT_GT(at_start, 0.5);
    EXPECT_LT(later, at_start / 5);
    EXPECT_LT(far, at_start / 500);
    EXPECT_NEAR(later / far, 100, 5);  // falls as one over the index
}

TEST(Scalar, OptionsOutOfRangeAreRefused) {
    ModelSettings settings = small_settings("scalar");
    settings.position[0].options["scale"] = 0.0;
    EXPECT_THROW(MaskedLanguageModel(settings, DType::float32), ModelError);
    for (const std::int64_t channel : {-1, 6}) {
        settings = small_settings("scalar");
        settings.position[0].options["channel"] = channel;
        EXPECT_THROW(MaskedLanguageModel(settings, DType::float32), ModelError);
    }
}

}  // namespace
}  // namespace locus
