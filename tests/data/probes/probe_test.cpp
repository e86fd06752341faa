#include "data/probes/probe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "data/error.h"
#include "tests/data/files.h"
#include "tests/data/probes/probe_cases.h"

namespace locus {
namespace {

using Ids = std::vector<std::int32_t>;

ProbeExample example_of(const ProbeCase& probe, ProbeSplit split, std::int64_t index) {
    ProbeExample example;
    make_probe_example(probe.settings, probe.length, split, index, example);
    return example;
}

bool is_constant(const ProbeCase& probe) { return distinct_examples(probe.settings, 2) == 1; }

class EveryProbe : public ::testing::TestWithParam<ProbeCase> {};

TEST_P(EveryProbe, IsAPureFunctionOfItsArguments) {
    const ProbeCase& probe = GetParam();
    const ProbeExample seventh = example_of(probe, ProbeSplit::train, 7);
    ProbeExample reused = example_of(probe, ProbeSplit::test, 123);  // memory that held another example
    make_probe_example(probe.settings, probe.length, ProbeSplit::train, 7, reused);
    EXPECT_EQ(seventh.ids, reused.ids);
    EXPECT_EQ(seventh.rows, reused.rows);
    EXPECT_EQ(seventh.targets, reused.targets);
    EXPECT_EQ(seventh.classes, reused.classes);
}

TEST_P(EveryProbe, HasValidRowsAndIds) {
    const ProbeCase& probe = GetParam();
    const std::int32_t vocabulary = probe_tokenizer(probe.settings)->vocab_size();
    for (std::int64_t index = 0; index < 500; ++index) {
        const ProbeExample example = example_of(probe, ProbeSplit::test, index);
        ASSERT_FALSE(example.rows.empty());
        ASSERT_EQ(example.targets.size(), example.rows.size());
        ASSERT_EQ(example.classes.size(), example.rows.size());
        EXPECT_LE(static_cast<std::int64_t>(example.ids.size()), probe.length);
        EXPECT_EQ(std::adjacent_find(example.rows.begin(), example.rows.end(), std::greater_equal<>()),
                  example.rows.end());
        EXPECT_GE(example.rows.front(), 0);
        EXPECT_LT(example.rows.back(), static_cast<std::int32_t>(example.ids.size()));
        for (const std::int32_t id : example.ids) EXPECT_TRUE(id >= mask_id && id < vocabulary) << id;
        for (const std::int32_t id : example.targets) EXPECT_TRUE(id >= first_symbol && id < vocabulary) << id;
    }
}

TEST_P(EveryProbe, DependsOnItsSeed) {
    ProbeCase other = GetParam();
    other.settings.seed = 2;
    bool differs = false;
    for (std::int64_t index = 0; index < 20; ++index) {
        const ProbeExample a = example_of(GetParam(), ProbeSplit::train, index);
        const ProbeExample b = example_of(other, ProbeSplit::train, index);
        differs = differs || a.ids != b.ids || a.targets != b.targets;
    }
    EXPECT_TRUE(differs);
}

TEST_P(EveryProbe, IsSolvedByItsOracleAtEveryLength) {
    const ProbeCase& probe = GetParam();
    for (const std::int64_t length : {probe.length, 2 * probe.length, 5 * probe.length + 1}) {
        const ProbeCase longer{probe.name, probe.settings, length};
        for (std::int64_t index = 0; index < 1000; ++index) {
            const ProbeExample example = example_of(longer, ProbeSplit::test, index);
            for (std::size_t t = 0; t < example.rows.size(); ++t)
                ASSERT_EQ(probe_oracle(probe.settings, example.ids, example.rows[t]), example.targets[t])
                    << "length " << length << ", example " << index;
            if (is_constant(probe)) break;
        }
    }
}

TEST_P(EveryProbe, HasAFloorThatOnlyTheBagDecides) {
    const ProbeCase& probe = GetParam();
    for (std::int64_t index = 0; index < 50; ++index) {
        const ProbeExample example = example_of(probe, ProbeSplit::test, index);
        Ids mirrored(example.ids.rbegin(), example.ids.rend());
        const std::int32_t row = example.rows.front();
        const auto mirrored_row = static_cast<std::int32_t>(example.ids.size()) - 1 - row;
        EXPECT_EQ(probe_floor(probe.settings, example.ids, row), probe_floor(probe.settings, mirrored, mirrored_row));
    }
}

// The argument that the floor is exact, by counting: among all targets with one bag of visible tokens and one token in their own row, each answer is
// as frequent as the floor says. No predictor that sees only these can then do better.
TEST_P(EveryProbe, HasTheFloorThatCountingGives) {
    const ProbeCase& probe = GetParam();
    struct Count {
        std::vector<double> floor;
        std::map<std::int32_t, double> answers;
        double total = 0;
    };
    std::map<std::pair<Ids, std::int32_t>, Count> counts;
    const std::int64_t examples = is_constant(probe) ? 1 : 40'000;
    for (std::int64_t index = 0; index < examples; ++index) {
        const ProbeExample example = example_of(probe, ProbeSplit::train, index);
        Ids bag = example.ids;
        std::sort(bag.begin(), bag.end());
        for (std::size_t t = 0; t < example.rows.size(); ++t) {
            const auto row = static_cast<std::size_t>(example.rows[t]);
            Count& count = counts[{bag, example.ids[row]}];
            if (count.floor.empty()) count.floor = probe_floor(probe.settings, example.ids, example.rows[t]);
            count.answers[example.targets[t]] += 1;
            count.total += 1;
        }
    }
    double excess = 0, variance = 0;  // of the floor's favourite, over all bags
    for (const auto& [bag, count] : counts) {
        const auto best = std::max_element(count.floor.begin(), count.floor.end());
        const auto found = count.answers.find(static_cast<std::int32_t>(best - count.floor.begin()));
        excess += (found == count.answers.end() ? 0 : found->second) - *best * count.total;
        variance += *best * (1 - *best) * count.total;
        if (count.total < 400 && !is_constant(probe)) continue;
        for (const auto& [answer, times] : count.answers) {
            const double p = count.floor[static_cast<std::size_t>(answer)];
            EXPECT_NEAR(times / count.total, p, is_constant(probe) ? 1e-9 : 5.5 * std::sqrt(p * (1 - p) / count.total));
        }
    }
    EXPECT_LE(std::abs(excess), is_constant(probe) ? 1e-6 : 10 * std::sqrt(variance));  // targets of one example depend
}

INSTANTIATE_TEST_SUITE_P(Probes, EveryProbe, ::testing::ValuesIn(probe_cases()),
                         [](const auto& info) { return info.param.name; });

// The streams share nothing that chance does not explain. Short probes repeat themselves, so only long ones are asked.
TEST(Probes, HaveDisjointSplits) {
    int asked = 0;
    for (const ProbeCase& probe : probe_cases()) {
        if (is_constant(probe) || probe.length < 16) continue;
        ++asked;
        std::set<Ids> train;
        for (std::int64_t index = 0; index < 1000; ++index)
            train.insert(example_of(probe, ProbeSplit::train, index).ids);
        EXPECT_GT(train.size(), 995U) << probe.name;
        for (const ProbeSplit split : {ProbeSplit::validation, ProbeSplit::test})
            for (std::int64_t index = 0; index < 1000; ++index)
                EXPECT_EQ(train.count(example_of(probe, split, index).ids), 0U) << probe.name << ", " << index;
    }
    EXPECT_GT(asked, 6);
}

// ---- what single probes promise ---------------------------------------------------------------------------------------------------------

std::string words_of(const ProbeCase& probe, const ProbeExample& example) {
    return probe_tokenizer(probe.settings)->decode(example.ids);
}

ProbeCase case_named(const std::string& name) {
    for (const ProbeCase& probe : probe_cases())
        if (probe.name == name) return probe;
    throw std::logic_error(name);
}

TEST(OrderProbe, IsSymmetricUnderReversalAsADistribution) {
    const ProbeCase probe = case_named("OrderSmall");  // one filler: 60 arrangements of the three words
    std::map<std::pair<Ids, std::int32_t>, double> counts;
    constexpr std::int64_t examples = 60'000;
    for (std::int64_t index = 0; index < examples; ++index) {
        const ProbeExample example = example_of(probe, ProbeSplit::train, index);
        counts[{example.ids, example.targets[0]}] += 1;
    }
    EXPECT_EQ(counts.size(), 60U);
    const std::int32_t before = first_symbol + 2, after = first_symbol + 3;
    for (const auto& [key, times] : counts) {
        const Ids mirrored(key.first.rbegin(), key.first.rend());
        const auto other = counts.find({mirrored, key.second == before ? after : before});
        ASSERT_NE(other, counts.end()) << "the mirror image has the opposite answer";
        EXPECT_NEAR(times, other->second, 6 * std::sqrt(2 * times));
    }
}

TEST(PhraseShiftProbe, TrainsInTheFirstHalfAndTestsEverywhere) {
    const ProbeCase probe = case_named("PhraseShift");
    std::set<std::int32_t> trained, tested;
    std::map<std::string, int> conditions;
    for (std::int64_t index = 0; index < 3000; ++index) {
        for (const ProbeSplit split : {ProbeSplit::train, ProbeSplit::validation})
            trained.insert(example_of(probe, split, index).rows[0]);
        const ProbeExample test = example_of({probe.name, probe.settings, 64}, ProbeSplit::test, index);
        tested.insert(test.rows[0]);
        const std::string condition = probe_condition(probe.settings, test.classes[0]);
        ++conditions[condition];
        EXPECT_EQ(condition, test.rows[0] < 8 ? "seen offset" : test.rows[0] < 16 ? "unseen offset" : "beyond");
    }
    EXPECT_EQ(*trained.rbegin(), 7);
    EXPECT_EQ(trained.size(), 8U);
    EXPECT_EQ(tested.size(), 64U);
    EXPECT_EQ(conditions.size(), 3U);
    for (const auto& [name, count] : conditions) EXPECT_NEAR(count, 1000, 150) << name;
}

TEST(PhraseShiftProbe, FillersReachTheSecondHalfUnlessAskedNotTo) {
    EXPECT_EQ(example_of(case_named("PhraseShift"), ProbeSplit::train, 1).ids.size(), 16U);
    EXPECT_EQ(example_of(case_named("PhraseShiftFirstHalf"), ProbeSplit::train, 1).ids.size(), 8U);
    EXPECT_EQ(example_of(case_named("PhraseShiftFirstHalf"), ProbeSplit::test, 1).ids.size(), 16U);
}

TEST(PhraseShiftProbe, SpeaksTheForumsWords) {
    const ProbeCase probe = case_named("PhraseShift");
    const std::string text = words_of(probe, example_of(probe, ProbeSplit::train, 0));
    EXPECT_NE(text.find("你好"), std::string::npos) << text;
    EXPECT_NE(text.find("[MASK]"), std::string::npos) << text;
    const auto tokenizer = probe_tokenizer(probe.settings);
    Ids ids;
    tokenizer->encode_with_specials("楼主 [MASK] 你好", ids);
    ASSERT_EQ(ids.size(), 3U);
    EXPECT_EQ(tokenizer->token(ids[2]), "你好");
    EXPECT_EQ(tokenizer->token(probe_oracle(probe.settings, ids, 1)), "三楼");
}

TEST(AgreementProbe, DoublesDistancesInTheTestOnly) {
    const ProbeCase probe{"", default_probe("agreement"), 200};
    std::set<std::int32_t> trained, tested;
    for (std::int64_t index = 0; index < 2000; ++index) {
        trained.insert(example_of(probe, ProbeSplit::train, index).classes[0]);
        tested.insert(example_of(probe, ProbeSplit::test, index).classes[0]);
    }
    EXPECT_EQ(trained.size(), 31U);  // 2 to 32: which distance it is must not tell where the subject stands
    EXPECT_EQ(*trained.rbegin(), 32);
    EXPECT_EQ(tested, (std::set<std::int32_t>{2, 4, 8, 16, 32, 64, 128}));
}

TEST(AbsoluteIndexProbe, IsAllMasksAndItsFloorIsTheMarginalEntropy) {
    const ProbeCase probe = case_named("AbsoluteIndex");
    const ProbeExample example = example_of(probe, ProbeSplit::test, 0);
    EXPECT_EQ(example.ids, Ids(24, mask_id));
    EXPECT_EQ(example.rows.size(), 24U);
    std::map<std::int32_t, double> counts;
    for (const std::int32_t target : example.targets) counts[target] += 1;
    double entropy = 0, most = 0;
    for (const auto& [target, count] : counts) {
        entropy -= count / 24 * std::log(count / 24);
        most = std::max(most, count / 24);
    }
    EXPECT_GT(counts.size(), 3U);
    const ProbeFloor floor = mean_probe_floor(probe.settings, 24, ProbeSplit::test, 1);
    EXPECT_NEAR(floor.loss, entropy, 1e-12);
    EXPECT_NEAR(floor.accuracy, most, 1e-12);
}

TEST(AbsoluteIndexProbe, RepeatsAfterItsPeriodAndTellsRowsBeyondTraining) {
    const ProbeCase probe = case_named("AbsoluteIndexPeriod");
    const ProbeExample longer = example_of({"", probe.settings, 48}, ProbeSplit::test, 0);
    for (std::size_t row = 5; row < 48; ++row) EXPECT_EQ(longer.targets[row], longer.targets[row - 5]);
    EXPECT_EQ(probe_condition(probe.settings, longer.classes[23]), "trained index");
    EXPECT_EQ(probe_condition(probe.settings, longer.classes[24]), "beyond");
}

TEST(IdenticalContextsProbe, WritesThePapersSentence) {
    const ProbeCase probe = case_named("Sentence");
    for (std::int64_t index = 0; index < 20; ++index) {
        const std::string text = words_of(probe, example_of(probe, ProbeSplit::train, index));
        EXPECT_NE(text.find("a new [MASK] opened beside the new [MASK]"), std::string::npos) << text;
    }
}

TEST(IdenticalContextsProbe, TheTapeIsPeriodic) {
    const ProbeCase probe = case_named("Periodic");
    const ProbeExample tape = example_of(probe, ProbeSplit::train, 5);
    for (std::size_t row = 3; row < tape.ids.size(); ++row) EXPECT_EQ(tape.ids[row], tape.ids[row - 3]);
    EXPECT_EQ(probe_condition(probe.settings, tape.classes.front()), "near an end");
    EXPECT_EQ(probe_condition(probe.settings, tape.classes[4]), "interior");
}

TEST(ShiftedLookupProbe, AsksForEveryShiftAndNeverForAQuestion) {
    const ProbeCase probe = case_named("ShiftedLookup");
    std::set<std::int32_t> shifts;
    for (std::int64_t index = 0; index < 300; ++index) {
        const ProbeExample example = example_of(probe, ProbeSplit::train, index);
        shifts.insert(example.classes.begin(), example.classes.end());
        for (const std::int32_t target : example.targets) EXPECT_LT(target, first_symbol + 8);
    }
    EXPECT_EQ(shifts, (std::set<std::int32_t>{1, 3, 8, -1, -3}));
    EXPECT_EQ(probe_condition(probe.settings, -3), "shift=-3");
}

// ---- errors and files -------------------------------------------------------------------------------------------------------------------

std::string error_of(const ProbeSettings& settings, std::int64_t length) {
    try {
        check_probe(settings, length);
        return "no error";
    } catch (const DataError& error) {
        return error.what();
    }
}

TEST(CheckProbe, RefusesWhatCannotBe) {
    const std::vector<std::int64_t> zero{1, 0}, twice{3, 3}, none{};
    EXPECT_EQ(error_of(default_probe("order"), 3), "no error");
    EXPECT_NE(error_of(default_probe("order"), 2).find("data.sequence_length: 2 tokens"), std::string::npos);
    EXPECT_NE(error_of(default_probe("distance_retrieval"), 34).find("needs 35"), std::string::npos);
    EXPECT_EQ(error_of(default_probe("distance_retrieval"), 35), "no error");
    EXPECT_NE(error_of(probe_with("order", {{"fillers", std::int64_t{27}}}), 9).find("data.probe.fillers must be"),
              std::string::npos);
    EXPECT_NE(error_of(probe_with("shifted_lookup", {{"shifts", zero}}), 9).find("data.probe.shifts: 0"),
              std::string::npos);
    EXPECT_NE(error_of(probe_with("shifted_lookup", {{"shifts", twice}}), 9).find("names 3 twice"), std::string::npos);
    EXPECT_NE(error_of(probe_with("shifted_lookup", {{"shifts", none}}), 9).find("empty list"), std::string::npos);
    EXPECT_NE(error_of(probe_with("identical_contexts", {{"variant", std::string("tape")}}), 9).find("\"tape\""),
              std::string::npos);
    EXPECT_THROW(default_probe("ordre"), DataError);
}

TEST(ProbeTokenizer, ComesBackFromItsFilesForEveryProbe) {
    for (const ProbeCase& probe : probe_cases()) {
        const TemporaryFolder folder;
        const auto tokenizer = probe_tokenizer(probe.settings);
        tokenizer->save(folder.path());
        const auto loaded = load_tokenizer(folder.path());
        EXPECT_EQ(loaded->fingerprint(), tokenizer->fingerprint()) << probe.name;
        Ids ids;
        const ProbeExample example = example_of(probe, ProbeSplit::train, 3);
        loaded->encode_with_specials(loaded->decode(example.ids), ids);
        EXPECT_EQ(ids, example.ids) << probe.name;
    }
}

}  // namespace
}  // namespace locus
