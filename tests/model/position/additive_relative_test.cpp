// Why relative vectors that are added to the embedding tell nothing.
#include <gtest/gtest.h>

#include "model/error.h"
#include "tests/model/position/embedded.h"

namespace locus {
namespace {

using testing::Embedded;
using testing::encode;
using testing::largest_difference;
using testing::perturbed_model;
using testing::RaggedBatch;
using testing::small_settings;

ModelSettings settings_of(std::int64_t window) {
    ModelSettings settings = small_settings("additive_relative");
    settings.position[0].options["window"] = window;
    return settings;
}

TEST(AdditiveRelative, AgreesWithValuesComputedByHand) {
    ModelSettings settings = settings_of(2);
    settings.hidden = 1;
    Embedded net(settings);
    net.set("distance.weight", {1, 10, 100, 1000});  // r_{-2}, r_{-1}, r_1, r_2
    const RaggedBatch batch({4, 1, 2}, 11);
    EXPECT_EQ(net(std::vector<double>(7, 0.5), batch.input),
              (std::vector<double>{1100.5, 1110.5, 111.5, 11.5, 0.5, 100.5, 10.5}));
}

// 2 `window` rows differ from one another and from the rest, which is one vector; of 64 tokens, as many as the note's analysis counts.
TEST(AdditiveRelative, IsOneVectorButForTheEnds) {
    for (const std::int64_t window : {1, 3, 8}) {
        Embedded net(settings_of(window));
        const std::vector<double> added = net(std::vector<double>(64 * 6, 0.0));
        std::int64_t marked = 0;
        for (std::int64_t i = 0; i < 64; ++i) {
            const bool differs =
                largest_difference(net.row(added, static_cast<std::size_t>(i)), net.row(added, 32)) > 1e-9;
            EXPECT_EQ(differs, i < window || i >= 64 - window) << window << " " << i;
            marked += differs;
        }
        EXPECT_EQ(marked, 2 * window);
    }
}

// The words away from the ends are a bag: any order of them gives the same outputs in that order.
TEST(AdditiveRelative, TheMiddleOfASequenceIsABagOfWords) {
    const auto model = perturbed_model(settings_of(2));
    RaggedBatch batch({9}, 11), permuted({9}, 11);
    batch.types.assign(9, 0);
    permuted.types.assign(9, 0);
    const std::size_t order[] = {0, 1, 5, 2, 6, 4, 3, 7, 8};
    for (std::size_t i = 0; i < 9; ++i) permuted.ids[i] = batch.ids[order[i]];
    batch.refresh();
    permuted.refresh();
    const std::vector<double> before = encode(*model, batch.input), after = encode(*model, permuted.input);
    for (std::size_t i = 0; i < 9; ++i) {
        for (std::size_t c = 0; c < 6; ++c) EXPECT_NEAR(after[i * 6 + c], before[order[i] * 6 + c], 1e-12) << i;
    }
    std::swap(permuted.ids[0], permuted.ids[4]);  // an end takes part: the order is seen
    EXPECT_GT(std::abs(encode(*model, permuted.input)[0] - after[4 * 6]), 1e-3);
}

TEST(AdditiveRelative, AWindowOfNothingIsRefused) {
    EXPECT_THROW(MaskedLanguageModel(settings_of(0), DType::float32), ModelError);
}

}  // namespace
}  // namespace locus
