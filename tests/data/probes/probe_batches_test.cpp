#include "data/probes/probe_batches.h"

#include <gtest/gtest.h>

#include "data/error.h"

namespace locus {
namespace {

DataSettings order_data(const char* boundary) {
    DataSettings data;
    data.probe = default_probe("order");
    data.sequence_length = 12;
    data.boundary = boundary;
    data.probe.train_length = probe_length(data);
    return data;
}

void expect_equal(const TokenBatch& a, const TokenBatch& b) {
    EXPECT_EQ(a.ids, b.ids);
    EXPECT_EQ(a.offsets, b.offsets);
    EXPECT_EQ(a.masked_rows, b.masked_rows);
    EXPECT_EQ(a.targets, b.targets);
}

TEST(ProbeBatches, DoNotDependOnHowTheStreamIsCut) {
    const ProbeBatches batches(order_data("none"), 0);
    TokenBatch whole, part, joined;
    batches.training(3, 10, whole);
    joined.clear();
    for (std::int64_t first = 3; first < 13; first += 5) {
        batches.training(first, 5, part);
        const auto rows = static_cast<std::int32_t>(joined.ids.size());
        joined.ids.insert(joined.ids.end(), part.ids.begin(), part.ids.end());
        for (std::size_t i = 1; i < part.offsets.size(); ++i) joined.offsets.push_back(rows + part.offsets[i]);
        for (const std::int32_t row : part.masked_rows) joined.masked_rows.push_back(rows + row);
        joined.targets.insert(joined.targets.end(), part.targets.begin(), part.targets.end());
    }
    expect_equal(whole, joined);
    EXPECT_EQ(batches.samples(), 0);
}

TEST(ProbeBatches, BoundaryPutsClsAndSepAround) {
    const ProbeBatches plain(order_data("none"), 4), framed(order_data("cls_sep"), 4);
    TokenBatch a, b;
    plain.training(0, 3, a);
    framed.training(0, 3, b);
    EXPECT_EQ(a.rows(), 36);
    EXPECT_EQ(b.rows(), 36);  // two of the twelve tokens are [CLS] and [SEP]
    for (std::size_t s = 0; s < 3; ++s) {
        EXPECT_EQ(b.ids[static_cast<std::size_t>(b.offsets[s])], SpecialTokens{}.cls);
        EXPECT_EQ(b.ids[static_cast<std::size_t>(b.offsets[s + 1]) - 1], SpecialTokens{}.sep);
    }
    for (const TokenBatch* batch : {&a, &b})
        for (const std::int32_t row : batch->masked_rows) EXPECT_EQ(batch->ids[static_cast<std::size_t>(row)], mask_id);
}

TEST(ProbeBatches, ValidationEndsAndDiffersFromTraining) {
    const ProbeBatches batches(order_data("none"), 10);
    TokenBatch validation, training, end;
    batches.validation(0, 10, validation);
    batches.training(0, 10, training);
    EXPECT_NE(validation.ids, training.ids);
    batches.validation(8, 5, end);
    EXPECT_EQ(end.sequences(), 2);
    EXPECT_EQ(batches.samples(), 10);
}

TEST(ProbeBatches, AConstantProbeHasOneValidationSample) {
    DataSettings data = order_data("none");
    data.probe = default_probe("absolute_index");
    EXPECT_EQ(ProbeBatches(data, 100).samples(), 1);
    EXPECT_EQ(ProbeBatches(data, 0).samples(), 0);
    EXPECT_DOUBLE_EQ(probe_masked_share(data), 1.0);
}

TEST(ProbeBatches, ATooShortSequenceIsRefused) {
    DataSettings data = order_data("none");
    data.probe = default_probe("agreement");
    EXPECT_THROW(ProbeBatches(data, 0), DataError);
}

}  // namespace
}  // namespace locus
