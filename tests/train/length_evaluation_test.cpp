#include "train/length_evaluation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "data/error.h"

namespace locus {
namespace {

std::vector<SequenceLoss> varied(std::size_t count) {
    std::vector<SequenceLoss> losses;
    for (std::size_t i = 0; i < count; ++i) {
        const auto masked = static_cast<std::int64_t>(1 + i % 5);
        losses.push_back(
            {static_cast<double>(masked) * (2.0 + static_cast<double>(i * 7 % 11) / 10), masked, masked / 2});
    }
    return losses;
}

TEST(LengthEvaluation, LossIsTheMeanOverMaskedTokensNotOverSequences) {
    const LengthResult result = summarise_length(16, {{1.0, 1, 1}, {9.0, 3, 1}}, 0);
    EXPECT_EQ(result.sequences, 2);
    EXPECT_EQ(result.masked, 4);
    EXPECT_DOUBLE_EQ(result.loss, 2.5);
    EXPECT_DOUBLE_EQ(result.masked_accuracy, 0.5);
}

TEST(LengthEvaluation, TheIntervalHoldsTheLossAndShrinksWithMoreSequences) {
    const LengthResult few = summarise_length(16, varied(50), 3), many = summarise_length(16, varied(5000), 3);
    for (const LengthResult& result : {few, many}) {
        EXPECT_LT(result.loss_ci_low, result.loss);
        EXPECT_GT(result.loss_ci_high, result.loss);
    }
    // A hundred times the sequences: a tenth of the width.
    const double ratio = (few.loss_ci_high - few.loss_ci_low) / (many.loss_ci_high - many.loss_ci_low);
    EXPECT_GT(ratio, 7.0);
    EXPECT_LT(ratio, 14.0);
}

TEST(LengthEvaluation, TheIntervalIsThatOfTheNormalApproximation) {
    // Sequences of one masked token each: the loss is a plain mean, whose standard error is known.
    std::vector<SequenceLoss> losses;
    double sum = 0, squares = 0;
    constexpr int count = 2000;
    for (int i = 0; i < count; ++i) {
        const double loss = static_cast<double>(i * 37 % 101) / 50;
        losses.push_back({loss, 1, 0});
        sum += loss;
        squares += loss * loss;
    }
    const double mean = sum / count, error = std::sqrt((squares / count - mean * mean) / count);
    const LengthResult result = summarise_length(16, losses, 1);
    EXPECT_NEAR(result.loss_ci_low, mean - 1.96 * error, 0.25 * error);
    EXPECT_NEAR(result.loss_ci_high, mean + 1.96 * error, 0.25 * error);
}

TEST(LengthEvaluation, TheSameSeedGivesTheSameInterval) {
    const LengthResult once = summarise_length(16, varied(50), 3), again = summarise_length(16, varied(50), 3);
    const LengthResult other = summarise_length(16, varied(50), 4);
    EXPECT_EQ(once.loss_ci_low, again.loss_ci_low);
    EXPECT_EQ(once.loss_ci_high, again.loss_ci_high);
    EXPECT_NE(once.loss_ci_low, other.loss_ci_low);
}

TEST(LengthEvaluation, NothingMaskedIsAnError) { EXPECT_THROW(summarise_length(16, {{0.0, 0, 0}}, 0), DataError); }

TEST(LengthEvaluation, CsvHasOneRowPerLength) {
    ModelSettings model;
    model.position = {{"absolute", {{"beyond", std::string("clip")}}}, {"relative_key", {}}};
    const std::vector<LengthResult> results = {{64, 10, 90, 2.5, 0.25, 2.25, 2.75}, {128, 5, 90, 3.5, 0.125, 3.0, 4.0}};
    EXPECT_EQ(length_csv(model, 64, results),
              "encoding,beyond,train_length,length,scheme,bucket,bucket_begin,bucket_end,loss,masked_accuracy,masked_"
              "tokens,loss_ci_low,"
              "loss_ci_high\n"
              "absolute+relative_key,clip,64,64,chunked,all,0,64,2.5,0.25,90,2.25,2.75\n"
              "absolute+relative_key,clip,64,128,chunked,all,0,128,3.5,0.125,90,3,4\n");
    model.position = {{"none", {}}};
    EXPECT_NE(length_csv(model, 0, {results[0]}).find("\nnone,,,64,chunked"), std::string::npos);
}

}  // namespace
}  // namespace locus
