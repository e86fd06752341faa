#include "train/toy_model.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/train/temporary_folder.h"
#include "train/error.h"
#include "train/toy_explanation.h"

namespace locus {
namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

ToyResult toy_of(const std::string& encoding) { return compute_toy(toy_settings(encoding), false); }

std::string text_of(const std::string& encoding) { return explain_toy(encoding); }

std::vector<std::string> every_encoding() {
    std::vector<std::string> names;
    for (const EncodingEntry& entry : encoding_registry()) names.emplace_back(entry.name);
    return names;
}

class Toy : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Encodings, Toy, ::testing::ValuesIn(every_encoding()),
                         [](const auto& info) { return info.param; });

TEST_P(Toy, SumsThroughTheSoftmaxAreTheKernelsOutput) {
    const ToyResult toy = compute_toy(toy_settings(GetParam()), true);
    ASSERT_EQ(toy.head.queries.size(), 4U);
    ASSERT_EQ(toy.out.size(), 4U);
    for (std::size_t i = 0; i < 4; ++i) {
        const QueryDecomposition& parts = toy.head.queries[i];
        for (std::size_t c = 0; c < 2; ++c) {
            const double table = parts.from_table.empty() ? 0 : parts.from_table[c];
            EXPECT_NEAR(parts.from_values[c] + table, toy.out[i][c], 1e-12);
        }
    }
    EXPECT_EQ(toy.lookups.size(), toy.head.summands.size());
}

TEST_P(Toy, ShowsThatTheEncodingActs) {
    const ToyResult none = toy_of("none");
    const bool is_wrapper = toy_settings(GetParam()).position.size() > 1;
    const ToyResult toy = compute_toy(toy_settings(GetParam()), is_wrapper);
    double moved = 0;
    for (std::size_t i = 0; i < 4; ++i)
        for (std::size_t j = 0; j < 4; ++j)
            moved = std::max(moved, std::abs(toy.head.queries[i].weights[j] - none.head.queries[i].weights[j]));
    if (GetParam() == "none") {
        EXPECT_EQ(moved, 0);
    } else {
        EXPECT_GT(moved, 0.005);
    }
}

TEST_P(Toy, TextHasEveryStepAndItsNumbers) {
    const std::string text = text_of(GetParam());
    EXPECT_EQ(text.rfind(GetParam() + ": ", 0), 0U) << text;
    for (const char* step :
         {"1. Positions", "2. Embeddings", "3. Queries", "4. Scores", "5. Weights", "6. Output", "What is stored"})
        EXPECT_TRUE(contains(text, step)) << step << "\n" << text;
    EXPECT_FALSE(contains(text, "nan")) << text;
    EXPECT_EQ(text, text_of(GetParam()));
}

TEST(ToyByHand, WordsPassTheLayerNormAndAreTheQueries) {
    const ToyResult toy = toy_of("none");
    EXPECT_EQ(toy.words, toy.placed);
    const Matrix expected = {{1, 1}, {1, -1}, {-1, 1}, {-1, -1}};
    for (std::size_t i = 0; i < 4; ++i)
        for (std::size_t c = 0; c < 2; ++c) {
            EXPECT_NEAR(toy.queries[i][c], expected[i][c], 1e-9);
            EXPECT_NEAR(toy.keys[i][c], expected[i][c], 1e-9);
            EXPECT_NEAR(toy.values[i][c], expected[i][c], 1e-9);
        }
    EXPECT_NEAR(toy.head.queries[0].score[0], std::sqrt(2.0), 1e-9);  // (1 + 1) / sqrt(2)
    EXPECT_EQ(toy.distances, (std::vector<std::int64_t>{-3, -2, -1, 0, 1, 2, 3}));
}

TEST(ToyByHand, AlibiTakesAQuarterPerStep) {
    const ToyResult toy = toy_of("alibi");
    ASSERT_EQ(toy.head.summands[1], "alibi bias");
    for (std::size_t i = 0; i < 4; ++i)
        for (std::size_t j = 0; j < 4; ++j)
            EXPECT_EQ(toy.head.queries[i].summands[1].values[j],
                      -0.25 * std::abs(static_cast<double>(i) - static_cast<double>(j)));
    EXPECT_TRUE(contains(text_of("alibi"), "-0.750  -0.500  -0.250  0.000  -0.250  -0.500  -0.750"));
    EXPECT_TRUE(contains(text_of("alibi"), "nothing; the encoding is a formula without parameters"));
}

TEST(ToyByHand, RopeTurnsByTheIndexInRadians) {
    const std::string text = text_of("rope");
    EXPECT_TRUE(contains(text, "Angles, in radians: 0.000, 1.000, 2.000, 3.000.")) << text;
    const ToyResult toy = toy_of("rope");
    EXPECT_NEAR(toy.queries[1][0], std::cos(1.0) + std::sin(1.0), 1e-9);  // (1, -1) turned by 1
    EXPECT_NEAR(toy.values[1][0], 1, 1e-9);
}

TEST(ToyByHand, RelativeKeyScoresAreTheQueryTimesTheRowOfTheDistance) {
    const ToyResult toy = toy_of("relative_key");
    ASSERT_EQ(toy.head.summands[1], "c2p");
    const Matrix& rows = toy.lookups[1].by_distance;
    ASSERT_EQ(rows.size(), 7U);
    // Row r + 5 of a table whose n-th number is ((7 n + 3) mod 11 - 5) / 10; distance -1 is row 4, its numbers are the 8th and 9th.
    EXPECT_NEAR(rows[2][0], ((7 * 8 + 3) % 11 - 5) / 10.0, 1e-12);
    EXPECT_NEAR(rows[2][1], ((7 * 9 + 3) % 11 - 5) / 10.0, 1e-12);
    EXPECT_NEAR(toy.head.queries[0].summands[1].values[1], (rows[2][0] + rows[2][1]) / std::sqrt(2.0), 1e-9);
}

TEST(ToyByHand, ShawHasAValueTable) {
    const ToyResult toy = toy_of("shaw");
    EXPECT_EQ(toy.values_by_distance.size(), 7U);
    EXPECT_TRUE(contains(text_of("shaw"), "V[i-j]"));
    EXPECT_FALSE(contains(text_of("t5_bias"), "V[i-j]"));
}

TEST(ToyByHand, RandomizedPositionsStandInTheMatrixOfDistances) {
    const std::string text = text_of("randomized");
    EXPECT_TRUE(contains(text, "behind absolute")) << text;
    EXPECT_FALSE(contains(text, "stand at 0 1 2 3")) << text;
}

TEST(ToyPage, PrintsWhatTheProgramPrints) {
    std::string indented;
    bool at_start = true;
    for (const char c : explain_toy("t5_bias")) {
        if (at_start && c != '\n') indented += "    ";
        indented += c;
        at_start = c == '\n';
    }
    EXPECT_TRUE(read_text(LOCUS_SOURCE_DIR "/docs/explain.md").ends_with(indented))
        << "put the output of `locus explain --toy t5_bias`, indented by four, at the end of docs/explain.md";
}

TEST(ToyErrors, NameTheNearestEncoding) {
    const auto message = [](const std::string& name) -> std::string {
        try {
            explain_toy(name);
        } catch (const ConfigurationError& error) {
            return error.what();
        }
        return "none";
    };
    EXPECT_EQ(message("disentagled"), "--toy disentagled: there is no such encoding; did you mean disentangled?");
    EXPECT_TRUE(contains(message("qqqqqqqq"), "there are: none, absolute"));
    EXPECT_EQ(explain_toy(""), explain_toy("t5_bias"));
}

}  // namespace
}  // namespace locus
