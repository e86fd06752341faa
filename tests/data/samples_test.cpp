#include "data/samples.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "data/error.h"
#include "data/shard_writer.h"
#include "tests/data/files.h"

namespace locus {
namespace {

using Ids = std::vector<std::int32_t>;
constexpr std::int32_t cls = 2, sep = 3;

/// A prepared corpus whose documents have these lengths; its tokens are 10, 11, 12, ...
class Documents {
public:
    explicit Documents(const std::vector<int>& lengths) {
        ShardWriter writer(folder_.path(), 60000, 1, 7);
        std::int32_t next = 10;
        for (const int length : lengths) {
            writer.begin_document();
            Ids ids(static_cast<std::size_t>(length));
            std::iota(ids.begin(), ids.end(), next);
            next += length;
            writer.add(ids);
        }
        writer.finish({});
        shards_ = std::make_unique<TokenShards>(folder_.path(), 60000);
    }
    const TokenShards& shards() const { return *shards_; }
    Samples samples(std::int64_t length, const std::string& boundary) const {
        DataSettings settings;
        settings.sequence_length = length;
        settings.boundary = boundary;
        return {*shards_, settings, SpecialTokens{}};
    }

private:
    TemporaryFolder folder_;
    std::unique_ptr<TokenShards> shards_;
};

Ids read(const Samples& samples, std::int64_t index) {
    Ids ids = {99};
    samples.read(index, ids);
    return ids;
}

TEST(Samples, AreWindowsOfTheStreamBetweenClsAndSep) {
    const Documents documents({5, 20});
    const Samples samples = documents.samples(12, "cls_sep");  // stream of 27 slots, windows of 10
    ASSERT_EQ(samples.count(), 2);                             // six tokens are left, too few
    EXPECT_EQ(read(samples, 0), (Ids{cls, 10, 11, 12, 13, 14, sep, 15, 16, 17, 18, sep}));
    EXPECT_EQ(read(samples, 1), (Ids{cls, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, sep}));
}

TEST(Samples, ADocumentThatEndsWithTheWindowIsClosedOnce) {
    const Documents documents({10, 9, 30});  // separators at slots 10 and 20; windows of 7
    const Samples samples = documents.samples(9, "cls_sep");
    EXPECT_EQ(read(samples, 0), (Ids{cls, 10, 11, 12, 13, 14, 15, 16, sep}));
    EXPECT_EQ(read(samples, 1), (Ids{cls, 17, 18, 19, sep, 20, 21, 22, sep}));
    // Slots 14 .. 20 end with the separator: the window starts at slot 13 instead, so 22 occurs in two samples.
    EXPECT_EQ(read(samples, 2), (Ids{cls, 22, 23, 24, 25, 26, 27, 28, sep}));
    EXPECT_EQ(read(samples, 3), (Ids{cls, 29, 30, 31, 32, 33, 34, 35, sep}));
}

TEST(Samples, OnlyTheVeryFirstMayBeOneShorter) {
    const Documents documents({6, 30});
    const Samples samples = documents.samples(9, "cls_sep");
    EXPECT_EQ(read(samples, 0), (Ids{cls, 10, 11, 12, 13, 14, 15, sep}));
}

TEST(Samples, NeverDoubleASeparatorAndCoverEveryToken) {
    for (const std::int64_t length : {4, 5, 8, 11, 16}) {
        const Documents documents({3, 1, 1, 7, 9, 14, 2, 30, 6, 1, 13, 5, 25});
        const Samples samples = documents.samples(length, "cls_sep");
        std::vector<int> seen(static_cast<std::size_t>(documents.shards().tokens()), 0);
        for (std::int64_t i = 0; i < samples.count(); ++i) {
            const Ids ids = read(samples, i);
            EXPECT_EQ(ids.front(), cls);
            EXPECT_EQ(ids.back(), sep);
            if (i > 0 && i + 1 < samples.count()) {
                EXPECT_EQ(static_cast<std::int64_t>(ids.size()), length) << i;
            }
            for (std::size_t k = 1; k < ids.size(); ++k) {
                EXPECT_FALSE(ids[k] == sep && ids[k - 1] == sep) << "sample " << i;
                if (ids[k] >= 10) ++seen[static_cast<std::size_t>(ids[k] - 10)];
            }
        }
        const auto missed = std::count(seen.begin(), seen.end(), 0);
        EXPECT_LT(missed, 8) << "only the rest may be left out";
        EXPECT_TRUE(std::all_of(seen.begin(), seen.end() - missed, [](int n) { return n == 1 || n == 2; }));
    }
}

TEST(Samples, WithoutBoundariesAreTheTokensAlone) {
    const Documents documents({5, 20});
    const Samples samples = documents.samples(8, "none");
    ASSERT_EQ(samples.count(), 3);  // one token is left
    Ids all;
    for (int i = 0; i < 3; ++i) {
        const Ids ids = read(samples, i);
        all.insert(all.end(), ids.begin(), ids.end());
    }
    Ids expected(24);
    std::iota(expected.begin(), expected.end(), 10);
    EXPECT_EQ(all, expected);
}

TEST(Samples, TheLastMayBeShorterWithEightTokensOrMore) {
    EXPECT_EQ(Documents({17}).samples(10, "none").count(), 1);
    EXPECT_EQ(Documents({18}).samples(10, "none").count(), 2);
    EXPECT_EQ(Documents({19}).samples(14, "cls_sep").count(),
              1);  // after a window of 12: seven tokens and the separator
    const Documents documents({20});
    const Samples kept = documents.samples(14, "cls_sep");
    ASSERT_EQ(kept.count(), 2);
    EXPECT_EQ(read(kept, 1), (Ids{cls, 21, 22, 23, 24, 25, 26, 27, 28, 29, sep}));
    EXPECT_EQ(Documents({8}).samples(512, "cls_sep").count(), 1);
}

TEST(Samples, TooLittleTextOrRoomIsADataError) {
    const Documents documents({4, 3});
    EXPECT_TRUE(contains(message_of<DataError>([&] { documents.samples(128, "cls_sep"); }), "7 tokens in 2 documents"));
    EXPECT_TRUE(contains(message_of<DataError>([&] { documents.samples(2, "cls_sep"); }), "data.sequence_length: 2"));
    EXPECT_TRUE(contains(message_of<DataError>([&] { documents.samples(8, "both"); }), "cls_sep or none"));
    const Documents enough({40});
    const Samples samples = enough.samples(10, "none");
    Ids ids;
    EXPECT_THROW(samples.read(4, ids), std::out_of_range);
    EXPECT_THROW(samples.read(-1, ids), std::out_of_range);
}

TEST(Shuffled, IsABijectionForEveryCount) {
    for (std::int64_t count = 1; count <= 300; ++count) {
        std::vector<bool> hit(static_cast<std::size_t>(count));
        for (std::int64_t place = 0; place < count; ++place) {
            const std::int64_t sample = shuffled(place, count, 7, 3);
            ASSERT_TRUE(sample >= 0 && sample < count);
            ASSERT_FALSE(hit[static_cast<std::size_t>(sample)]) << count;
            hit[static_cast<std::size_t>(sample)] = true;
        }
    }
}

TEST(Shuffled, IsABijectionForALargeCount) {
    constexpr std::int64_t count = 1'000'003;
    std::vector<bool> hit(count);
    for (std::int64_t place = 0; place < count; ++place)
        hit[static_cast<std::size_t>(shuffled(place, count, 1, 0))] = true;
    EXPECT_EQ(std::count(hit.begin(), hit.end(), true), count);
}

TEST(Shuffled, DiffersBetweenSeedsAndEpochsAndFromOrder) {
    const auto order = [](std::uint32_t seed, std::uint32_t epoch) {
        std::vector<std::int64_t> result;
        for (std::int64_t place = 0; place < 1000; ++place) result.push_back(shuffled(place, 1000, seed, epoch));
        return result;
    };
    const auto fixed = [](const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b) {
        int same = 0;
        for (std::size_t i = 0; i < a.size(); ++i) same += a[i] == b[i] ? 1 : 0;
        return same;
    };
    std::vector<std::int64_t> identity(1000);
    std::iota(identity.begin(), identity.end(), 0);
    // Of random permutations about one place in a thousand agrees.
    EXPECT_LT(fixed(order(1, 0), identity), 8);
    EXPECT_LT(fixed(order(1, 0), order(1, 1)), 8);
    EXPECT_LT(fixed(order(1, 0), order(2, 0)), 8);
    EXPECT_EQ(order(1, 5), order(1, 5));
}

TEST(Shuffled, SpreadsEachPlaceEvenlyOverTheEpochs) {
    constexpr std::int64_t count = 10;
    constexpr int epochs = 20000;
    std::vector<int> times(count);
    for (std::uint32_t epoch = 0; epoch < epochs; ++epoch)
        ++times[static_cast<std::size_t>(shuffled(3, count, 1, epoch))];
    double chi_squared = 0.0;
    for (const int n : times) chi_squared += (n - 2000.0) * (n - 2000.0) / 2000.0;
    EXPECT_LT(chi_squared, 27.9);  // nine degrees of freedom, one in a thousand
}

TEST(Shuffled, RefusesPlacesOutside) {
    EXPECT_THROW(shuffled(5, 5, 1, 0), std::out_of_range);
    EXPECT_THROW(shuffled(-1, 5, 1, 0), std::out_of_range);
}

}  // namespace
}  // namespace locus
