#include "data/paired_windows.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>
#include <stdexcept>

#include "data/error.h"
#include "data/shard_writer.h"
#include "tests/data/fake_tokenizer.h"
#include "tests/data/files.h"

namespace locus {
namespace {

using Ids = std::vector<std::int32_t>;
const char* const schemes[] = {"chunked", "centred"};

/// Documents of these lengths with the tokens 10, 11, 12, ...
class Text {
public:
    explicit Text(const std::vector<int>& lengths) {
        ShardWriter writer(folder_.path(), 1000, 1, 7);
        std::int32_t next = 10;
        for (const int length : lengths) {
            writer.begin_document();
            Ids ids(static_cast<std::size_t>(length));
            std::iota(ids.begin(), ids.end(), next);
            next += length;
            writer.add(ids);
        }
        writer.finish({});
        shards_ = std::make_unique<TokenShards>(folder_.path(), 1000);
    }
    PairedWindows windows(std::int64_t longest, const std::string& boundary, std::uint32_t seed = 5,
                          std::int64_t count = 0) const {
        return {*shards_, tokenizer_, longest, boundary, 0.15, seed, count};
    }

private:
    TemporaryFolder folder_;
    std::unique_ptr<TokenShards> shards_;
    FakeTokenizer tokenizer_;
};

/// How often each place of a window is scored.
std::vector<int> times_scored(std::int64_t window, std::int64_t size, const std::string& scheme) {
    std::vector<int> times(static_cast<std::size_t>(window));
    for (const Chunk& chunk : cut_window(window, size, scheme))
        for (std::int64_t place = chunk.scored_begin; place < chunk.scored_end; ++place)
            ++times[static_cast<std::size_t>(place)];
    return times;
}

TEST(CutWindow, ScoresTheSamePlacesOnceAtEverySize) {
    for (const char* scheme : schemes) {
        for (const std::int64_t window : {64, 62, 127}) {
            const std::vector<int> whole = times_scored(window, window, scheme);
            EXPECT_EQ(std::set<int>(whole.begin(), whole.end()).count(2), 0U);
            const auto scored = std::accumulate(whole.begin(), whole.end(), std::int64_t{0});
            EXPECT_EQ(scored, scheme == schemes[0] ? window : window / 2);
            for (std::int64_t size = 2; size < window; ++size)
                EXPECT_EQ(times_scored(window, size, scheme), whole) << scheme << " " << size << " of " << window;
        }
    }
}

TEST(CutWindow, ChunksAreFullAndHoldWhatTheyScore) {
    for (const char* scheme : schemes) {
        for (std::int64_t size = 2; size <= 62; ++size) {
            for (const Chunk& chunk : cut_window(62, size, scheme)) {
                EXPECT_EQ(chunk.end - chunk.begin, size);
                EXPECT_GE(chunk.begin, 0);
                EXPECT_LE(chunk.end, 62);
                EXPECT_LE(chunk.begin, chunk.scored_begin);
                EXPECT_LT(chunk.scored_begin, chunk.scored_end);
                EXPECT_LE(chunk.scored_end, chunk.end);
            }
        }
    }
}

TEST(CutWindow, CentredTargetsHaveAQuarterOfAChunkOnBothSides) {
    for (std::int64_t size = 2; size <= 62; ++size) {
        for (const Chunk& chunk : cut_window(62, size, "centred")) {
            EXPECT_GE(chunk.scored_begin - chunk.begin, size / 4) << size;
            EXPECT_GE(chunk.end - chunk.scored_end, size / 4) << size;
        }
    }
}

TEST(CutWindow, TheLastChunkOfAWindowIsMovedBack) {
    const std::vector<Chunk> chunks = cut_window(30, 14, "chunked");
    ASSERT_EQ(chunks.size(), 3U);
    EXPECT_EQ(chunks[2].begin, 16);
    EXPECT_EQ(chunks[2].end, 30);
    EXPECT_EQ(chunks[2].scored_begin, 28);
}

TEST(CutWindow, RefusesWhatDoesNotFit) {
    EXPECT_THROW(cut_window(30, 31, "chunked"), std::invalid_argument);
    EXPECT_THROW(cut_window(30, 1, "chunked"), std::invalid_argument);
    EXPECT_THROW(cut_window(30, 10, "central"), std::invalid_argument);
}

TEST(PairedWindows, AreTheTextWithEveryTargetMasked) {
    const Text text({300});
    for (const char* boundary : {"none", "cls_sep"}) {
        const PairedWindows windows = text.windows(66, boundary);
        MaskedSample window;
        for (std::int64_t index = 0; index < windows.count(); ++index) {
            windows.read(index, window);
            ASSERT_EQ(static_cast<std::int64_t>(window.ids.size()), windows.window_tokens());
            const auto targets = static_cast<double>(window.targets.size());
            EXPECT_NEAR(targets, 0.15 * static_cast<double>(windows.window_tokens()), 1.0);
            Ids ids = window.ids;
            for (std::size_t t = 0; t < window.targets.size(); ++t) {
                const auto place = static_cast<std::size_t>(window.positions[t]);
                EXPECT_EQ(ids[place], SpecialTokens{}.mask);
                ids[place] = window.targets[t];
            }
            Ids expected(ids.size());
            std::iota(expected.begin(), expected.end(),
                      10 + static_cast<std::int32_t>(index * windows.window_tokens()));
            EXPECT_EQ(ids, expected);
        }
    }
}

TEST(PairedWindows, NeverMaskASeparatorBetweenDocuments) {
    const Text text(std::vector<int>(60, 3));
    const PairedWindows windows = text.windows(42, "cls_sep");
    MaskedSample window;
    std::int64_t separators = 0;
    for (std::int64_t index = 0; index < windows.count(); ++index) {
        windows.read(index, window);
        for (const std::int32_t id : window.ids) separators += id == SpecialTokens{}.sep ? 1 : 0;
        for (const std::int32_t target : window.targets) EXPECT_GE(target, 10);
    }
    EXPECT_EQ(separators, 10 * windows.count());
}

TEST(PairedWindows, AChunkIsASequenceWithItsTargets) {
    const Text text({300});
    const PairedWindows windows = text.windows(66, "cls_sep");
    MaskedSample window;
    windows.read(1, window);
    TokenBatch batch;
    batch.clear();
    std::size_t targets = 0;
    for (const Chunk& chunk : cut_window(64, 16, "chunked")) {
        const TargetRange scored = scored_targets(window, chunk);
        windows.append(window, chunk, batch);
        targets += scored.last - scored.first;
        ASSERT_EQ(batch.targets.size(), targets);
        const auto first = static_cast<std::size_t>(batch.offsets[batch.offsets.size() - 2]);
        EXPECT_EQ(batch.ids.size() - first, 18U);
        EXPECT_EQ(batch.ids[first], SpecialTokens{}.cls);
        EXPECT_EQ(batch.ids.back(), SpecialTokens{}.sep);
    }
    EXPECT_EQ(batch.targets, window.targets);
    for (const std::int32_t row : batch.masked_rows)
        EXPECT_EQ(batch.ids[static_cast<std::size_t>(row)], SpecialTokens{}.mask);
}

TEST(PairedWindows, AChunkWithoutATargetIsPassedOver) {
    const Text text({300});
    const PairedWindows windows = text.windows(64, "none");
    MaskedSample window;
    window.ids.assign(64, 10);
    TokenBatch batch;
    batch.clear();
    windows.append(window, {0, 16, 0, 16}, batch);
    EXPECT_EQ(batch.sequences(), 0);
    EXPECT_EQ(batch.rows(), 0);
}

TEST(PairedWindows, ASeedDrawsTheMasksAndSamplesAreSpreadEvenly) {
    const Text text({800});
    const PairedWindows windows = text.windows(32, "none"), again = text.windows(32, "none"),
                        other = text.windows(32, "none", 6), few = text.windows(32, "none", 5, 5);
    EXPECT_EQ(windows.count(), 25);
    ASSERT_EQ(few.count(), 5);
    MaskedSample a, b;
    int differing = 0;
    for (std::int64_t index = 0; index < 25; ++index) {
        windows.read(index, a);
        again.read(index, b);
        EXPECT_EQ(a.ids, b.ids);
        other.read(index, b);
        differing += a.ids != b.ids ? 1 : 0;
        if (index % 5 != 0) continue;
        few.read(index / 5, b);
        EXPECT_EQ(a.ids, b.ids);
    }
    EXPECT_GT(differing, 20);
    EXPECT_THROW(few.read(5, a), std::out_of_range);
}

TEST(PairedWindows, ATextShorterThanAWindowIsRefused) {
    const Text text({40});
    try {
        text.windows(64, "none");
        FAIL() << "no error";
    } catch (const DataError& error) {
        EXPECT_NE(std::string(error.what()).find("40 tokens in 1 documents, less than one window of 64"),
                  std::string::npos)
            << error.what();
    }
}

}  // namespace
}  // namespace locus
