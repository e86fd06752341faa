#include "data/masking.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "data/error.h"
#include "tests/data/fake_tokenizer.h"
#include "tests/data/files.h"

namespace locus {
namespace {

using Ids = std::vector<std::int32_t>;
constexpr std::int32_t mask_id = 4, vocab_size = 1000, half = 500;  // ids from `half` on continue a word

/// A sample of 128: [CLS], words of one to four tokens, [SEP] in the middle and at the end.
Ids sample(std::uint32_t number) {
    Ids ids = {2};
    for (std::uint32_t i = 0; ids.size() < 127; ++i) {
        if (ids.size() == 60) ids.push_back(3);
        const std::uint32_t hash = (number * 977 + i) * 2654435761U >> 8U;
        ids.push_back(5 + static_cast<std::int32_t>(hash % 495));
        for (std::uint32_t k = 0; k < hash / 512 % 4 && ids.size() < 127; ++k) {
            if (ids.size() == 60) break;
            ids.push_back(half + static_cast<std::int32_t>((hash + k) % 500));
        }
    }
    ids.push_back(3);
    return ids;
}

bool is_special(std::int32_t id) { return id <= 4; }

std::int64_t maskable(const Ids& ids) {
    return std::count_if(ids.begin(), ids.end(), [](std::int32_t id) { return !is_special(id); });
}

MaskingSettings with_unit(const std::string& unit) {
    MaskingSettings settings;
    settings.unit = unit;
    return settings;
}

MaskedSample corrupt(const Masking& masking, const Ids& ids, std::uint32_t seed = 1, std::uint32_t epoch = 0,
                     std::uint32_t number = 0) {
    MaskedSample out;
    masking.apply(ids, seed, epoch, number, out);
    return out;
}

TEST(Masking, ChoosesTheShareAndReplacesByEightyTenTen) {
    const FakeTokenizer tokenizer(vocab_size);
    const Masking masking({}, tokenizer);
    std::int64_t tokens = 0, chosen = 0, masked = 0, kept = 0, other = 0;
    for (std::uint32_t n = 0; tokens < 1'000'000; ++n) {
        const Ids ids = sample(n);
        const MaskedSample out = corrupt(masking, ids, 1, 0, n);
        tokens += maskable(ids);
        chosen += static_cast<std::int64_t>(out.positions.size());
        for (std::size_t i = 0; i < out.positions.size(); ++i) {
            const std::int32_t now = out.ids[static_cast<std::size_t>(out.positions[i])];
            (now == mask_id ? masked : now == out.targets[i] ? kept : other) += 1;
        }
    }
    const auto within = [](std::int64_t count, double n, double p) {
        EXPECT_NEAR(static_cast<double>(count), n * p, 3.0 * std::sqrt(n * p * (1.0 - p)));
    };
    within(chosen, static_cast<double>(tokens), 0.15);
    const auto targets = static_cast<double>(chosen);
    within(masked, targets, 0.8);
    // A random token is the old one once in 995.
    within(other, targets, 0.1 * (1.0 - 1.0 / 995));
    within(kept, targets, 0.1 * (1.0 + 1.0 / 995));
}

TEST(Masking, TheShareIsExactOnAverageForAnyLength) {
    const FakeTokenizer tokenizer(vocab_size);
    const Masking masking({}, tokenizer);
    for (const std::size_t length : {9, 22, 30, 43, 62}) {
        std::int64_t chosen = 0, tokens = 0;
        for (std::uint32_t n = 0; n < 5000; ++n) {
            chosen += static_cast<std::int64_t>(corrupt(masking, Ids(length, 7), 1, 0, n).positions.size());
            tokens += static_cast<std::int64_t>(length);
        }
        // One uniform draw per sample decides between two neighbours: at most half a token of standard deviation each.
        EXPECT_NEAR(static_cast<double>(chosen), 0.15 * static_cast<double>(tokens), 3.0 * 0.5 * std::sqrt(5000.0))
            << length;
    }
}

TEST(Masking, EveryPlaceIsChosenEquallyOften) {
    const FakeTokenizer tokenizer(vocab_size);
    const Masking masking({}, tokenizer);
    const Ids ids = sample(3);
    std::vector<int> times(ids.size(), 0);
    constexpr int epochs = 10000;
    for (std::uint32_t epoch = 0; epoch < epochs; ++epoch) {
        for (const std::int32_t place : corrupt(masking, ids, 1, epoch).positions)
            ++times[static_cast<std::size_t>(place)];
    }
    const double share = 0.15, sigma = std::sqrt(epochs * share * (1.0 - share));
    for (std::size_t i = 0; i < ids.size(); ++i) {
        if (is_special(ids[i])) {
            EXPECT_EQ(times[i], 0);
        } else {
            EXPECT_NEAR(times[i], epochs * share, 4.5 * sigma) << i;
        }
    }
}

TEST(Masking, LeavesTheRestAloneAndNeverTouchesOrDrawsSpecialTokens) {
    const FakeTokenizer tokenizer(vocab_size);
    MaskingSettings settings;
    settings.mask = 0.0;
    settings.random = 1.0;
    settings.keep = 0.0;
    const Masking masking(settings, tokenizer);
    std::set<std::int32_t> drawn;
    for (std::uint32_t n = 0; n < 2000; ++n) {
        const Ids ids = sample(n);
        const MaskedSample out = corrupt(masking, ids, 1, 0, n);
        ASSERT_EQ(out.ids.size(), ids.size());
        ASSERT_EQ(out.positions.size(), out.targets.size());
        std::size_t next = 0;
        for (std::size_t i = 0; i < ids.size(); ++i) {
            if (next < out.positions.size() && out.positions[next] == static_cast<std::int32_t>(i)) {
                EXPECT_FALSE(is_special(ids[i]));
                EXPECT_EQ(out.targets[next], ids[i]);
                EXPECT_FALSE(is_special(out.ids[i]));
                drawn.insert(out.ids[i]);
                ++next;
            } else {
                EXPECT_EQ(out.ids[i], ids[i]);
            }
        }
        EXPECT_EQ(next, out.positions.size()) << "positions increase strictly";
    }
    EXPECT_EQ(drawn.size(), 995U) << "every ordinary id is drawn";
}

class ReservedTokenizer : public FakeTokenizer {
public:
    using FakeTokenizer::FakeTokenizer;
    std::string token(std::int32_t id) const override { return id < 10 ? "[unused" + std::to_string(id) + "]" : "x"; }
};

TEST(Masking, NeverDrawsReservedEntries) {
    MaskingSettings settings;
    settings.mask = settings.keep = 0.0;
    settings.random = settings.probability = 1.0;
    const Masking masking(settings, ReservedTokenizer(12, false));
    for (std::uint32_t n = 0; n < 100; ++n) {
        for (const std::int32_t id : corrupt(masking, Ids(100, 11), 1, 0, n).ids) EXPECT_GE(id, 10);
    }
}

/// The share of samples in which a word is masked in part, or where more than wanted is chosen.
void expect_whole_words(const Masking& masking) {
    for (std::uint32_t n = 0; n < 3000; ++n) {
        const Ids ids = sample(n);
        const MaskedSample out = corrupt(masking, ids, 1, 0, n);
        std::vector<bool> taken(ids.size(), false);
        for (const std::int32_t place : out.positions) taken[static_cast<std::size_t>(place)] = true;
        for (std::size_t i = 1; i < ids.size(); ++i) {
            if (ids[i] < half || is_special(ids[i - 1])) continue;
            EXPECT_EQ(taken[i], taken[i - 1]) << "sample " << n << " place " << i;
        }
        const double wanted = 0.15 * static_cast<double>(maskable(ids));
        EXPECT_LE(static_cast<double>(out.positions.size()), std::ceil(wanted));
        EXPECT_GE(static_cast<double>(out.positions.size()), std::floor(wanted) - 1)
            << "there are short words to fill up with";
    }
}

TEST(Masking, WholeWordsAreChosenWhole) {
    const FakeTokenizer tokenizer(vocab_size);
    expect_whole_words(Masking(with_unit("whole_word"), tokenizer));
}

TEST(Masking, SpansConsistOfWholeWords) {
    const FakeTokenizer tokenizer(vocab_size);
    expect_whole_words(Masking(with_unit("span"), tokenizer));
}

TEST(Masking, OnlyAVeryFirstWordMayExceedTheCount) {
    const FakeTokenizer tokenizer(vocab_size);
    const Ids one_word = {2, 7, 501, 502, 503, 3};
    EXPECT_EQ(corrupt(Masking(with_unit("whole_word"), tokenizer), one_word).positions, (Ids{1, 2, 3, 4}));
    EXPECT_EQ(corrupt(Masking(with_unit("span"), tokenizer), one_word).positions, (Ids{1, 2, 3, 4}));
    EXPECT_EQ(corrupt(Masking(with_unit("token"), tokenizer), one_word).positions.size(), 1U);
}

TEST(Masking, AWordDoesNotReachOverASpecialToken) {
    const FakeTokenizer tokenizer(vocab_size);
    MaskingSettings settings = with_unit("whole_word");
    settings.probability = 0.5;
    const Ids ids = {2, 7, 3, 501, 502, 3};  // the tail of a word after [SEP] is a word of its own
    for (std::uint32_t n = 0; n < 50; ++n) {
        const Ids places = corrupt(Masking(settings, tokenizer), ids, 1, 0, n).positions;
        EXPECT_TRUE(places == (Ids{1}) || places == (Ids{3, 4})) << places.size();
    }
}

// With a single span per sample (wanted = longest_span, so that none is cut) its length has probability proportional to 1/length.
TEST(Masking, SpanLengthsFollowTheirDistribution) {
    const FakeTokenizer tokenizer(vocab_size, false);
    MaskingSettings settings = with_unit("span");
    settings.longest_span = 3;
    settings.probability = 0.01;  // of 300: three tokens
    const Masking masking(settings, tokenizer);
    const Ids ids(300, 7);
    int runs = 0, longest = 0, adjacent = 0;
    for (std::uint32_t n = 0; n < 4000; ++n) {
        const Ids places = corrupt(masking, ids, 1, 0, n).positions;
        ASSERT_EQ(places.size(), 3U);
        const int links = (places[1] == places[0] + 1 ? 1 : 0) + (places[2] == places[1] + 1 ? 1 : 0);
        runs += 3 - links;
        longest += links == 2 ? 1 : 0;
        adjacent += links;
    }
    // First span 1, 2 or 3 with 6/11, 3/11, 2/11; the rest is filled up: (1, 1, 1) with (6/11)^2, (1, 2) with 6/11 * 5/11, (2, 1) with 3/11.
    // Separate spans touch, or are next to the edge, in about 2 % of the samples.
    const double expected = 3 * (36.0 / 121) + 2 * (30.0 / 121 + 3.0 / 11) + 1 * (2.0 / 11);
    EXPECT_NEAR(runs / 4000.0, expected, 0.05);
    EXPECT_NEAR(longest / 4000.0, 2.0 / 11, 0.03);
    EXPECT_GT(adjacent, 0);
}

TEST(Masking, SpansWithoutBoundariesStayWithinTheirSegment) {
    const FakeTokenizer tokenizer(vocab_size, false);
    MaskingSettings settings = with_unit("span");
    settings.probability = 0.4;
    settings.longest_span = 10;
    const Masking masking(settings, tokenizer);
    const Ids ids = {2, 10, 11, 12, 3, 13, 14, 3};
    for (std::uint32_t n = 0; n < 200; ++n) {
        const MaskedSample out = corrupt(masking, ids, 1, 0, n);
        EXPECT_EQ(out.positions.size(), 2U);
        EXPECT_EQ(out.ids[0], 2);
        EXPECT_EQ(out.ids[4], 3);
        EXPECT_EQ(out.ids[7], 3);
    }
}

TEST(Masking, AtLeastOneTokenIsChosenAndNoneWhereThereIsNone) {
    const FakeTokenizer tokenizer(vocab_size);
    for (const char* unit : {"token", "whole_word", "span"}) {
        const Masking masking(with_unit(unit), tokenizer);
        EXPECT_EQ(corrupt(masking, {2, 7, 3}).positions, (Ids{1}));
        const MaskedSample none = corrupt(masking, {2, 1, 1, 3});
        EXPECT_TRUE(none.positions.empty() && none.targets.empty());
        EXPECT_EQ(none.ids, (Ids{2, 1, 1, 3}));
        EXPECT_TRUE(corrupt(masking, {}).ids.empty());
    }
}

TEST(Masking, IsAFunctionOfSeedEpochAndSample) {
    const FakeTokenizer tokenizer(vocab_size);
    for (const char* unit : {"token", "whole_word", "span"}) {
        const Masking masking(with_unit(unit), tokenizer), again(with_unit(unit), tokenizer);
        const Ids ids = sample(0);
        const MaskedSample first = corrupt(masking, ids, 1, 2, 3);
        corrupt(masking, sample(1), 9, 9, 9);
        const MaskedSample second = corrupt(again, ids, 1, 2, 3);
        EXPECT_EQ(first.ids, second.ids);
        EXPECT_EQ(first.positions, second.positions);
        EXPECT_NE(corrupt(masking, ids, 2, 2, 3).positions, first.positions);
        EXPECT_NE(corrupt(masking, ids, 1, 3, 3).positions, first.positions);
        EXPECT_NE(corrupt(masking, ids, 1, 2, 4).positions, first.positions);
    }
}

TEST(Masking, KnowsWhenWordsAreTokens) {
    EXPECT_TRUE(Masking({}, FakeTokenizer(vocab_size, false)).whole_words_are_tokens());
    EXPECT_FALSE(Masking({}, FakeTokenizer(vocab_size)).whole_words_are_tokens());
}

TEST(Masking, RefusesIdsAndSettingsOutOfRange) {
    const FakeTokenizer tokenizer(vocab_size);
    EXPECT_THROW(corrupt(Masking({}, tokenizer), {2, 1000, 3}), std::out_of_range);
    EXPECT_THROW(corrupt(Masking({}, tokenizer), {2, -1, 3}), std::out_of_range);
    const auto refuses = [&](const MaskingSettings& settings, std::string_view part) {
        EXPECT_TRUE(contains(message_of<DataError>([&] { Masking(settings, tokenizer); }), part));
    };
    MaskingSettings settings;
    settings.probability = 0.0;
    refuses(settings, "data.masking.probability");
    settings.probability = std::nan("");
    refuses(settings, "data.masking.probability");
    settings = {};
    settings.keep = 0.3;
    refuses(settings, "add up to 1");
    refuses(with_unit("sentence"), "token, whole_word or span");
    settings = with_unit("span");
    settings.longest_span = 0;
    refuses(settings, "longest_span");
    EXPECT_THROW(Masking({}, FakeTokenizer(5, false)), DataError);
}

}  // namespace
}  // namespace locus
