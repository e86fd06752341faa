#include "data/batches.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "data/shard_writer.h"
#include "tests/data/fake_tokenizer.h"
#include "tests/data/files.h"

namespace locus {
namespace {

class BatchesOfDocuments : public ::testing::Test {
protected:
    BatchesOfDocuments() {
        {
            ShardWriter writer(folder_.path(), 1000, 1);
            for (int document = 0; document < 30; ++document) {
                writer.begin_document();
                std::vector<std::int32_t> ids(static_cast<std::size_t>(20 + document * 7 % 50));
                for (std::size_t i = 0; i < ids.size(); ++i)
                    ids[i] = 5 + (document * 131 + static_cast<std::int32_t>(i) * 17) % 995;
                writer.add(ids);
            }
            writer.finish({});
        }
        shards_ = std::make_unique<TokenShards>(folder_.path(), 1000);
        settings_.sequence_length = 32;
        samples_ = std::make_unique<Samples>(*shards_, settings_, SpecialTokens{});
        masking_ = std::make_unique<Masking>(settings_.masking, FakeTokenizer(1000));
        batches_ = std::make_unique<Batches>(*samples_, *masking_, 5);
    }

    TemporaryFolder folder_;
    DataSettings settings_;
    std::unique_ptr<TokenShards> shards_;
    std::unique_ptr<Samples> samples_;
    std::unique_ptr<Masking> masking_;
    std::unique_ptr<Batches> batches_;
};

/// The uncorrupted sequences of a batch.
std::vector<std::vector<std::int32_t>> originals(const TokenBatch& batch) {
    std::vector<std::int32_t> ids = batch.ids;
    for (std::size_t i = 0; i < batch.targets.size(); ++i)
        ids[static_cast<std::size_t>(batch.masked_rows[i])] = batch.targets[i];
    std::vector<std::vector<std::int32_t>> sequences;
    for (std::size_t s = 0; s + 1 < batch.offsets.size(); ++s) {
        sequences.emplace_back(ids.begin() + batch.offsets[s], ids.begin() + batch.offsets[s + 1]);
    }
    return sequences;
}

void expect_equal(const TokenBatch& a, const TokenBatch& b) {
    EXPECT_EQ(a.ids, b.ids);
    EXPECT_EQ(a.offsets, b.offsets);
    EXPECT_EQ(a.masked_rows, b.masked_rows);
    EXPECT_EQ(a.targets, b.targets);
}

TEST_F(BatchesOfDocuments, AreRaggedAndConsistent) {
    TokenBatch batch;
    batches_->training(0, 7, batch);
    EXPECT_EQ(batch.sequences(), 7);
    EXPECT_EQ(batch.offsets.front(), 0);
    EXPECT_EQ(batch.offsets.back(), batch.rows());
    EXPECT_TRUE(std::is_sorted(batch.offsets.begin(), batch.offsets.end()));
    EXPECT_EQ(batch.masked_rows.size(), batch.targets.size());
    EXPECT_EQ(std::adjacent_find(batch.masked_rows.begin(), batch.masked_rows.end(), std::greater_equal<>()),
              batch.masked_rows.end());
    EXPECT_GT(batch.masked(), 7 * 3);
    for (const std::int32_t target : batch.targets) EXPECT_GE(target, 5);
}

TEST_F(BatchesOfDocuments, AnEpochIsEverySampleOnceAndTheNextOneAnotherOrder) {
    const std::int64_t count = batches_->samples();
    ASSERT_GT(count, 20);
    std::vector<std::vector<std::int32_t>> expected;
    for (std::int64_t i = 0; i < count; ++i) samples_->read(i, expected.emplace_back());
    const auto in_order = expected;
    std::sort(expected.begin(), expected.end());
    std::vector<std::vector<std::vector<std::int32_t>>> epochs;
    for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
        TokenBatch batch;
        batches_->training(epoch * count, count, batch);
        epochs.push_back(originals(batch));
        EXPECT_NE(epochs.back(), in_order);
        auto sorted = epochs.back();
        std::sort(sorted.begin(), sorted.end());
        EXPECT_TRUE(sorted == expected) << "epoch " << epoch;
    }
    EXPECT_NE(epochs[0], epochs[1]);
    EXPECT_NE(epochs[1], epochs[2]);
}

TEST_F(BatchesOfDocuments, DoNotDependOnHowTheStreamIsCut) {
    const std::int64_t total = 2 * batches_->samples() + 5;  // over two ends of epochs
    TokenBatch whole, part;
    batches_->training(0, total, whole);
    TokenBatch joined;
    joined.offsets = {0};
    for (std::int64_t first = 0; first < total; first += 7) {
        batches_->training(first, std::min<std::int64_t>(7, total - first), part);
        const auto rows = static_cast<std::int32_t>(joined.ids.size());
        joined.ids.insert(joined.ids.end(), part.ids.begin(), part.ids.end());
        for (std::size_t i = 1; i < part.offsets.size(); ++i) joined.offsets.push_back(rows + part.offsets[i]);
        for (const std::int32_t row : part.masked_rows) joined.masked_rows.push_back(rows + row);
        joined.targets.insert(joined.targets.end(), part.targets.begin(), part.targets.end());
    }
    expect_equal(joined, whole);
}

TEST_F(BatchesOfDocuments, MasksChangeWithTheEpochAndTheSeed) {
    const std::int64_t count = batches_->samples();
    const Batches other(*samples_, *masking_, 6);
    TokenBatch first, second, third;
    batches_->training(0, count, first);
    batches_->training(count, count, second);
    other.training(0, count, third);
    EXPECT_NE(first.masked_rows, second.masked_rows);
    EXPECT_NE(first.masked_rows, third.masked_rows);
}

TEST_F(BatchesOfDocuments, ValidationIsInOrderFixedAndShorterAtTheEnd) {
    const std::int64_t count = batches_->samples();
    const Batches other(*samples_, *masking_, 77);
    TokenBatch whole, again, part;
    batches_->validation(0, count, whole);
    other.validation(0, count, again);
    expect_equal(whole, again);  // whatever the seed of the training
    const auto sequences = originals(whole);
    for (std::int64_t i = 0; i < count; ++i) {
        std::vector<std::int32_t> ids;
        samples_->read(i, ids);
        EXPECT_EQ(sequences[static_cast<std::size_t>(i)], ids);
    }
    batches_->validation(count - 3, 8, part);
    EXPECT_EQ(part.sequences(), 3);
    EXPECT_TRUE(std::equal(part.targets.rbegin(), part.targets.rend(), whole.targets.rbegin()));
    batches_->validation(count, 8, part);
    EXPECT_EQ(part.sequences(), 0);
    EXPECT_EQ(part.rows(), 0);
}

TEST_F(BatchesOfDocuments, ReuseTheirMemory) {
    TokenBatch batch;
    batches_->training(0, 16, batch);
    batch.masked_rows.reserve(4 * batch.masked_rows.size());
    batch.targets.reserve(4 * batch.targets.size());
    const void* ids = batch.ids.data();
    const void* rows = batch.masked_rows.data();
    for (std::int64_t first = 16; first < 200; first += 16) {
        batches_->training(first, 15, batch);
        EXPECT_EQ(batch.ids.data(), ids);
        EXPECT_EQ(batch.masked_rows.data(), rows);
    }
}

}  // namespace
}  // namespace locus
