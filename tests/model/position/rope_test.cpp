#include <gtest/gtest.h>

#include <numbers>

#include "model/error.h"
#include "tests/model/small_model.h"

namespace locus {
namespace {

using testing::RaggedBatch;

constexpr std::int64_t head_dim = 16, pairs = 8, trained = 512;

ModelSettings settings_with(const std::map<std::string, OptionValue>& options) {
    ModelSettings settings = testing::small_settings("rope");
    settings.hidden = 2 * head_dim;
    settings.heads = 2;
    settings.max_length = trained;
    for (const auto& [name, value] : options) settings.position[0].options[name] = value;
    return settings;
}

struct Turn {
    double angle, amplitude;
};

// How each pair of the second head is turned at position 1 of a sequence of `length`: a row with 1 in the first channel of the pair.
std::vector<Turn> turns(const std::map<std::string, OptionValue>& options, std::int64_t length,
                        bool interleaved = false) {
    const ModelSettings settings = settings_with(options);
    const auto encoding = find_encoding("rope")->make(settings, settings.position[0]);
    std::vector<double> unit(pairs * 2 * head_dim);
    std::vector<std::int32_t> positions(pairs, 1);
    const auto first = [&](std::int64_t c) { return head_dim + (interleaved ? 2 * c : c); };
    for (std::int64_t c = 0; c < pairs; ++c) unit[static_cast<std::size_t>(c * 2 * head_dim + first(c))] = 1;
    Arena arena;
    Tape tape(arena);
    ModelInput input;
    input.longest = length;
    const Var x = tape.constant(Tensor(unit.data(), {pairs, 2 * head_dim}, DType::float64));
    const Tensor y =
        encoding->rotate(tape, x, 2 * head_dim, Tensor(positions.data(), {pairs}, DType::int32), input).value();
    std::vector<Turn> result;
    for (std::int64_t c = 0; c < pairs; ++c) {
        const double* const row = y.as<double>() + c * 2 * head_dim;
        const double a = row[first(c)], b = row[first(c) + (interleaved ? 1 : pairs)];
        result.push_back({std::atan2(b, a), std::hypot(a, b)});
    }
    return result;
}

double frequency(std::int64_t pair, double base = 10000) {
    return std::pow(base, -2.0 * static_cast<double>(pair) / static_cast<double>(head_dim));
}

TEST(Rope, PairsTurnByTheFrequenciesOfThePaperInBothLayouts) {
    for (const bool interleaved : {false, true}) {
        const std::string layout = interleaved ? "interleaved" : "half_split";
        const std::vector<Turn> found = turns({{"layout", layout}}, trained, interleaved);
        for (std::int64_t c = 0; c < pairs; ++c) {
            EXPECT_NEAR(found[static_cast<std::size_t>(c)].angle, frequency(c), 1e-15) << layout;
            EXPECT_NEAR(found[static_cast<std::size_t>(c)].amplitude, 1.0, 1e-15);
        }
    }
}

TEST(Rope, ScalingLeavesTrainedLengthsAlone) {
    for (const char* scaling : {"none", "linear", "ntk", "yarn"}) {
        const std::vector<Turn> found = turns({{"scaling", std::string(scaling)}, {"factor", 4.0}}, trained);
        for (std::int64_t c = 0; c < pairs; ++c)
            EXPECT_NEAR(found[static_cast<std::size_t>(c)].angle, frequency(c), 1e-15) << scaling;
    }
}

TEST(Rope, LinearSlowsAllPairsAndNtkOnlyTheSlowest) {
    for (const double factor : {0.0, 4.0}) {  // 0: the ratio of the lengths, which is 4 here
        const std::vector<Turn> linear = turns({{"scaling", std::string("linear")}, {"factor", factor}}, 4 * trained),
                                ntk = turns({{"scaling", std::string("ntk")}, {"factor", factor}}, 4 * trained);
        for (std::size_t c = 0; c < pairs; ++c) {
            EXPECT_NEAR(linear[c].angle, frequency(static_cast<std::int64_t>(c)) / 4, 1e-15);
        }
        EXPECT_NEAR(ntk.front().angle, frequency(0), 1e-15);
        EXPECT_NEAR(ntk.back().angle, frequency(pairs - 1) / 4, 1e-15);
        EXPECT_LT(ntk[4].angle, frequency(4));
        EXPECT_GT(ntk[4].angle, frequency(4) / 4);
    }
}

TEST(Rope, YarnKeepsFastPairsSlowsSlowOnesAndSharpens) {
    const std::vector<Turn> found = turns({{"scaling", std::string("yarn")}}, 4 * trained);
    for (std::size_t c = 0; c < pairs; ++c) {
        const double plain = frequency(static_cast<std::int64_t>(c));
        const double times =
            static_cast<double>(trained) * plain / (2 * std::numbers::pi);  // within the trained length
        if (times > 32) {
            EXPECT_NEAR(found[c].angle, plain, 1e-15) << c;
        } else if (times < 0.5) {
            EXPECT_NEAR(found[c].angle, plain / 4, 1e-15) << c;
        } else {
            EXPECT_TRUE(found[c].angle <= plain * (1 + 1e-12) && found[c].angle >= plain / 4 * (1 - 1e-12)) << c;
        }
        EXPECT_NEAR(found[c].amplitude, 0.1 * std::log(4.0) + 1, 1e-15);
    }
}

TEST(Rope, ScoresDependOnDistancesAlone) {
    const auto model = testing::perturbed_model(settings_with({}));
    RaggedBatch batch({5}, 11);
    const std::vector<double> before = testing::encode(*model, batch.input);
    for (std::int32_t& position : batch.positions) position += 300;
    batch.refresh();
    EXPECT_LE(testing::largest_difference(testing::encode(*model, batch.input), before), 1e-11);
}

TEST(Rope, RefusesOptionsOutOfRange) {
    const auto make = [](const std::map<std::string, OptionValue>& options) {
        const ModelSettings settings = settings_with(options);
        return find_encoding("rope")->make(settings, settings.position[0]);
    };
    EXPECT_THROW(make({{"base", 1.0}}), ModelError);
    EXPECT_THROW(make({{"fraction", 0.0}}), ModelError);
    EXPECT_THROW(make({{"fraction", 0.1}}), ModelError);  // less than a pair of 16 channels
    EXPECT_THROW(make({{"factor", 0.5}}), ModelError);
    EXPECT_NO_THROW(make({{"fraction", 0.25}}));
}

}  // namespace
}  // namespace locus
