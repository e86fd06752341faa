#include <gtest/gtest.h>

#include "model/error.h"
#include "tests/model/small_model.h"

namespace locus {
namespace {

using testing::RaggedBatch;

PositionSettings with(const std::map<std::string, OptionValue>& options) {
    PositionSettings position = default_position("disentangled");
    for (const auto& [name, value] : options) position.options[name] = value;
    return position;
}

// The terms of the score that one layer gets; the model's own projections stand in when they are shared.
struct Related {
    explicit Related(const PositionSettings& position, std::int64_t max_length = 8) {
        settings = testing::small_settings("disentangled");
        settings.max_length = max_length;
        settings.position = {position};
        model = testing::perturbed_model(settings);
        encoding = find_encoding("disentangled")->make(settings, position);
        encoding->declare_encoder_parameters(parameters, "");
        encoding->declare_layer_parameters(parameters, "");
        parameters.allocate();
        testing::fill_random(parameters.values().as<double>(), parameters.count(), 5);
        score.dtype = DType::float64;
        const auto own = [&](const char* name) {
            return model->parameters().find(std::string("bert.encoder.layer.0.attention.self.") + name);
        };
        const LayerContext layer = {0, own("query.weight"), own("query.bias"), own("key.weight"), own("key.bias"), {}};
        encoding->relate(tape, layer, batch.input, score);
    }

    std::vector<std::int32_t> rows(const RelativeTerm& term) const {
        const auto* const begin = term.row_of_distance.as<std::int32_t>();
        return {begin, begin + term.row_of_distance.count()};
    }

    ModelSettings settings;
    std::unique_ptr<MaskedLanguageModel> model;
    std::unique_ptr<PositionEncoding> encoding;
    Parameters parameters{DType::float64};
    Arena arena;
    Tape tape{arena};
    RaggedBatch batch{{5}, 11};
    AttentionScore score;
};

TEST(Disentangled, EveryDistanceHasARowUpToTheMaximumAndTheRestShareTheOutermost) {
    const Related related(with({{"max_distance", std::int64_t{3}}}));
    EXPECT_EQ(related.rows(related.score.key_table), (std::vector<std::int32_t>{0, 1, 2, 3, 4, 5, 5}));
    EXPECT_EQ(related.rows(related.score.query_table), (std::vector<std::int32_t>{0, 1, 2, 3, 4, 5, 5}));
    const Related paper(with({{"max_distance", std::int64_t{3}}, {"p2c_index", std::string("paper")}}));
    EXPECT_EQ(paper.rows(paper.score.key_table), (std::vector<std::int32_t>{0, 1, 2, 3, 4, 5, 5}));
    EXPECT_EQ(paper.rows(paper.score.query_table), (std::vector<std::int32_t>{5, 5, 4, 3, 2, 1, 0}));
}

// Sums that the authors' tables give: of the rows for distances -(max - 1) .. max - 1, plain and weighted by 1, 2, 3, ...
struct BucketSums {
    std::int64_t buckets, max_distance, sum, weighted;
};

class DisentangledBuckets : public ::testing::TestWithParam<BucketSums> {};
INSTANTIATE_TEST_SUITE_P(All, DisentangledBuckets,
                         ::testing::Values(BucketSums{256, 512, 261888, 189001082},
                                           BucketSums{128, 512, 130944, 96413088}, BucketSums{64, 128, 16320, 2939474},
                                           BucketSums{32, 128, 8160, 1497134}, BucketSums{64, 256, 32704, 12026940}));

TEST_P(DisentangledBuckets, AreThoseOfTheReference) {
    const auto [buckets, max_distance, expected_sum, expected_weighted] = GetParam();
    const Related related(with({{"buckets", buckets}, {"max_distance", max_distance}}));
    const std::vector<std::int32_t> rows = related.rows(related.score.key_table);
    const auto center = static_cast<std::ptrdiff_t>(rows.size() / 2);
    std::int64_t sum = 0, weighted = 0, place = 0;
    for (std::int64_t r = 1 - max_distance; r < max_distance; ++r) {
        const std::int64_t row = rows[static_cast<std::size_t>(center + r)];
        sum += row;
        weighted = (weighted + ++place * row) % 1000000007;
    }
    EXPECT_EQ(sum, expected_sum);
    EXPECT_EQ(weighted, expected_weighted);
    EXPECT_EQ(rows.front(), 0);  // past the maximum: the row that nothing else uses, as transformers has it
    EXPECT_EQ(rows.back(), 2 * buckets - 1);
}

TEST(Disentangled, TheScaleCountsTheTerms) {
    for (const auto& [terms, count] : std::map<std::string, int>{{"none", 1}, {"c2p", 2}, {"p2c", 2}, {"c2p|p2c", 3}}) {
        const Related related(with({{"terms", terms}}));
        EXPECT_NEAR(related.score.scale, 1 / std::sqrt(static_cast<double>(count)), 1e-15) << terms;
        EXPECT_EQ(static_cast<bool>(related.score.key_table.table), terms.find("c2p") != std::string::npos);
        EXPECT_EQ(static_cast<bool>(related.score.query_table.table), terms.find("p2c") != std::string::npos);
    }
}

TEST(Disentangled, SharedProjectionsAndTheNormAddNoMatrixAndHaveGradients) {
    ModelSettings settings = testing::small_settings("disentangled");
    settings.layers = 1;
    settings.position = {with({{"share_projections", true},
                               {"table_norm", true},
                               {"buckets", std::int64_t{4}},
                               {"max_distance", std::int64_t{6}}})};
    const auto model = testing::perturbed_model(settings);
    EXPECT_EQ(model->parameters().find("bert.encoder.layer.0.attention.self.pos_proj.weight"), nullptr);
    const RaggedBatch batch({8, 3}, 11);
    const auto f = [&](Tape& tape) {
        return model->logits(tape, model->encode(tape, batch.input, {}), batch.input, {});
    };
    testing::expect_gradients_match(model->parameters(), f);  // the key bias too: positions give it influence
}

TEST(Disentangled, RefusesBucketsThatCannotBe) {
    const ModelSettings settings = testing::small_settings("disentangled");
    const auto make = [&](std::int64_t buckets, std::int64_t max_distance) {
        return find_encoding("disentangled")
            ->make(settings, with({{"buckets", buckets}, {"max_distance", max_distance}}));
    };
    EXPECT_THROW(make(5, 20), ModelError);
    EXPECT_THROW(make(-2, 20), ModelError);
    EXPECT_THROW(make(4, 3), ModelError);
    EXPECT_THROW(make(0, -1), ModelError);
    EXPECT_NO_THROW(make(4, 4));
}

}  // namespace
}  // namespace locus
