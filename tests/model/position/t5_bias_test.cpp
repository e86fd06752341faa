#include <gtest/gtest.h>

#include "model/error.h"
#include "tests/model/small_model.h"

namespace locus {
namespace {

using testing::RaggedBatch;
using testing::small_settings;

PositionSettings buckets(std::int64_t count, std::int64_t max_distance) {
    PositionSettings position = default_position("t5_bias");
    position.options["buckets"] = count;
    position.options["max_distance"] = max_distance;
    return position;
}

// The bucket of each distance j - i = -(length - 1) .. length - 1, read off a table that holds its own row numbers.
std::vector<int> buckets_by_distance(const PositionSettings& position, std::int32_t length) {
    const ModelSettings settings = small_settings("t5_bias");
    Parameters parameters(DType::float64);
    const auto encoding = find_encoding("t5_bias")->make(settings, position);
    encoding->declare_encoder_parameters(parameters, "");
    parameters.allocate();
    const Tensor table = parameters.find("relative_attention_bias.weight")->value;
    for (std::int64_t n = 0; n < table.count(); ++n) {
        table.as<double>()[n] =
            static_cast<double>(n / settings.heads) + 100.0 * static_cast<double>(n % settings.heads);
    }
    const RaggedBatch batch({length}, 11);
    Arena arena;
    Tape tape(arena);
    AttentionScore score;
    encoding->relate(tape, {}, batch.input, score);
    const Tensor bias = score.biases[0].value();
    EXPECT_EQ(bias.shape, (Shape{settings.heads, 2 * length - 1}));
    std::vector<int> result;
    for (std::int64_t r = 2 * length - 2; r >= 0; --r) {  // the bias runs over i - j
        result.push_back(static_cast<int>(bias.as<double>()[r]));
        EXPECT_EQ(bias.as<double>()[2 * length - 1 + r], result.back() + 100.0);  // the second head's column
    }
    return result;
}

TEST(T5Bias, FourTokensHaveTheBucketsOfThePaper) {
    EXPECT_EQ(buckets_by_distance(buckets(32, 128), 4), (std::vector<int>{3, 2, 1, 0, 17, 18, 19}));
}

TEST(T5Bias, BucketsWidenByTheLogarithmOfTheDistance) {
    const std::vector<int> by_distance = buckets_by_distance(buckets(32, 128), 200);
    const auto left = [&](int distance) { return by_distance[199U - static_cast<unsigned>(distance)]; };
    const auto right = [&](int distance) { return by_distance[199U + static_cast<unsigned>(distance)]; };
    const int first[] = {0, 1,  2,  3,  4,  5,  6,  7,
                         8, 12, 16, 23, 32, 46, 64, 91};  // distance at which each bucket begins
    for (int bucket = 1; bucket < 16; ++bucket) {
        EXPECT_EQ(left(first[bucket]), bucket);
        EXPECT_EQ(left(first[bucket] - 1), bucket - 1);
        EXPECT_EQ(right(first[bucket]), 16 + bucket);
    }
    EXPECT_EQ(left(199), 15);
    EXPECT_EQ(std::count(by_distance.begin(), by_distance.end(), 16), 0);
}

TEST(T5Bias, RefusesBucketsThatCannotBe) {
    const ModelSettings settings = small_settings("t5_bias");
    const auto* entry = find_encoding("t5_bias");
    EXPECT_THROW(entry->make(settings, buckets(30, 128)), ModelError);
    EXPECT_THROW(entry->make(settings, buckets(0, 128)), ModelError);
    EXPECT_THROW(entry->make(settings, buckets(32, 8)), ModelError);
    EXPECT_NO_THROW(entry->make(settings, buckets(32, 9)));
}

}  // namespace
}  // namespace locus
