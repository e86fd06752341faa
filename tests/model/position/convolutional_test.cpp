#include <gtest/gtest.h>

#include "model/error.h"
#include "tests/model/position/embedded.h"

namespace locus {
namespace {

using testing::Embedded;
using testing::largest_difference;
using testing::normals;
using testing::small_settings;

ModelSettings settings_of(std::int64_t width, const std::string& padding) {
    ModelSettings settings = small_settings("convolutional");
    settings.position[0].options["width"] = width;
    settings.position[0].options["padding"] = padding;
    return settings;
}

TEST(Convolutional, AgreesWithValuesComputedByHand) {
    ModelSettings settings = settings_of(3, "zeros");
    settings.hidden = 2;
    Embedded zeros(settings);
    zeros.set("convolution.weight", {1, 10, 100, 0, -1, 2});
    zeros.set("convolution.bias", {0.5, 0});
    // x + (left, here, right) . taps + bias, channel by channel
    const std::vector<double> x = {1, 4, 2, 5, 3, 6};
    EXPECT_LE(largest_difference(zeros(x), {1 + 210.5, 4 - 4 + 10, 2 + 321.5, 5 - 5 + 12, 3 + 32.5, 6 - 6 + 0}), 1e-12);
    settings.position[0].options["padding"] = std::string("nearest");
    Embedded nearest(settings);
    nearest.set("convolution.weight", {1, 10, 100, 0, -1, 2});
    nearest.set("convolution.bias", {0.5, 0});
    EXPECT_LE(largest_difference(nearest(x), {1 + 211.5, 4 - 4 + 10, 2 + 321.5, 5 - 5 + 12, 3 + 332.5, 6 - 6 + 12}),
              1e-12);
}

TEST(Convolutional, SeesItsNeighboursAndNobodyElse) {
    for (const std::int64_t width : {3, 7}) {
        Embedded net(settings_of(width, "zeros"));
        std::vector<double> x = normals(11 * 6, 1);
        const std::vector<double> before = net(x);
        x[5 * 6 + 2] += 1;
        const std::vector<double> after = net(x);
        for (std::int64_t i = 0; i < 11; ++i) {
            const auto row = static_cast<std::size_t>(i);
            EXPECT_EQ(largest_difference(net.row(after, row), net.row(before, row)) > 0, std::abs(i - 5) <= width / 2);
        }
    }
}

// CPVT's point: zero padding is what tells the ends from the middle.
TEST(Convolutional, ZerosMarkTheEndsOfAConstantSequenceAndNearestDoesNot) {
    std::vector<double> x;
    for (int i = 0; i < 9; ++i) x.insert(x.end(), {1, -1, 2, 0.5, 3, -2});
    Embedded zeros(settings_of(5, "zeros")), nearest(settings_of(5, "nearest"));
    const std::vector<double> marked = zeros(x), same = nearest(x);
    for (std::size_t i = 0; i < 9; ++i) {
        EXPECT_EQ(largest_difference(zeros.row(marked, i), zeros.row(marked, 4)) > 1e-3, i < 2 || i > 6) << i;
        EXPECT_LE(largest_difference(nearest.row(same, i), nearest.row(same, 4)), 1e-15) << i;
    }
}

TEST(Convolutional, MovingAPhraseMovesWhatItBecomes) {
    Embedded net(settings_of(3, "zeros"));
    const std::vector<double> phrase = normals(4 * 6, 1), filler = normals(6, 2);
    const auto placed = [&](std::size_t before, std::size_t after) {
        std::vector<double> x;
        for (std::size_t n = 0; n < before; ++n) x.insert(x.end(), filler.begin(), filler.end());
        x.insert(x.end(), phrase.begin(), phrase.end());
        for (std::size_t n = 0; n < after; ++n) x.insert(x.end(), filler.begin(), filler.end());
        return net(x);
    };
    const std::vector<double> early = placed(1, 50), late = placed(40, 3);
    for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(net.row(early, 1 + i), net.row(late, 40 + i));
}

TEST(Convolutional, WidthsThatHaveNoMiddleOrNoNeighboursAreRefused) {
    for (const std::int64_t width : {-3, 1, 4, 65}) {
        EXPECT_THROW(MaskedLanguageModel(settings_of(width, "zeros"), DType::float32), ModelError) << width;
    }
}

}  // namespace
}  // namespace locus
