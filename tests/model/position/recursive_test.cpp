// Positions that follow a rule: what the rules are, and where they lead.
#include <gtest/gtest.h>

#include "model/error.h"
#include "tests/model/position/embedded.h"

namespace locus {
namespace {

using testing::Embedded;
using testing::largest_difference;
using testing::normals;
using testing::small_settings;

ModelSettings settings_of(const std::string& function, std::int64_t hidden = 6) {
    ModelSettings settings = small_settings("recursive");
    settings.hidden = hidden;
    settings.position[0].options["function"] = function;
    return settings;
}

std::vector<double> positions(Embedded& net, std::size_t count, std::size_t hidden = 6) {
    return net(std::vector<double>(count * hidden, 0.0));
}

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

TEST(Recursive, AgreesWithValuesComputedByHand) {
    Embedded mlp(settings_of("mlp", 1));
    mlp.set("start", {0.5});
    mlp.set("in.weight", {2});
    mlp.set("in.bias", {-0.2});
    mlp.set("out.weight", {3});
    mlp.set("out.bias", {0.1});
    const double p1 = 0.5 + 3 * std::tanh(0.8) + 0.1, p2 = p1 + 3 * std::tanh(2 * p1 - 0.2) + 0.1;
    EXPECT_LE(largest_difference(positions(mlp, 3, 1), {0.5, p1, p2}), 1e-14);

    Embedded gru(settings_of("gru", 1));
    gru.set("start", {0.5});
    gru.set("gru.weight", {1, 2, 3});
    gru.set("gru.bias", {0, 0.1, 0.2});
    const auto next = [](double p) {
        const double z = logistic(2 * p + 0.1);
        return (1 - z) * std::tanh(logistic(p) * (3 * p + 0.2)) + z * p;
    };
    EXPECT_LE(largest_difference(positions(gru, 2, 1), {next(0.5), next(next(0.5))}), 1e-15);

    Embedded rotation(settings_of("rotation", 2));
    rotation.set("start", {3, 4});
    rotation.set("log_angle", {std::log(0.7)});
    const double c = std::cos(1.4), s = std::sin(1.4);
    EXPECT_NEAR(positions(rotation, 3, 2)[4], 3 * c - 4 * s, 1e-14);
    EXPECT_NEAR(positions(rotation, 3, 2)[5], 3 * s + 4 * c, 1e-14);
}

// dp/dt = p + t has the solution (p_0 + 1) e^t - t - 1; a tanh of small arguments is nearly the identity.
TEST(Recursive, OdeFollowsItsSolutionTheBetterTheMoreSteps) {
    const auto error = [](std::int64_t steps) {
        ModelSettings settings = settings_of("ode", 1);
        settings.position[0].options["interval"] = 0.5;
        settings.position[0].options["steps"] = steps;
        settings.position[0].options["width"] = std::int64_t{1};
        Embedded ode(settings);
        const double small = 1e-6;
        ode.set("start", {0.2});
        ode.set("in.weight", {small});
        ode.set("time.weight", {small});
        ode.set("in.bias", {0});
        ode.set("out.weight", {1 / small});
        ode.set("out.bias", {0});
        return std::abs(positions(ode, 5, 1)[4] - (1.2 * std::exp(2.0) - 3));
    };
    EXPECT_LT(error(1), 1e-2);
    EXPECT_LT(error(2), error(1) / 10);
    EXPECT_LT(error(8), error(2) / 100);
}

TEST(Recursive, KnowsNothingOfTheWords) {
    for (const char* function : {"mlp", "gru", "rotation", "ode"}) {
        Embedded net(settings_of(function));
        const std::vector<double> x = normals(5 * 6, 1), p = positions(net, 5);
        std::vector<double> got = net(x);
        for (std::size_t n = 0; n < x.size(); ++n) got[n] -= x[n];
        EXPECT_LE(largest_difference(got, p), 1e-14) << function;
        // and is the same in every sequence, whatever the lengths
        const testing::RaggedBatch batch({2, 5}, 11);
        const std::vector<double> both = net(std::vector<double>(std::size_t{7 * 6}, 0.0), batch.input);
        EXPECT_EQ(net.row(both, 1), net.row(p, 1));
        EXPECT_EQ(net.row(both, 6), net.row(p, 4));
    }
}

TEST(Recursive, RotationStartsAsTheSinusoidalEncoding) {
    for (const std::int64_t hidden : {6, 8}) {
        ModelSettings settings = settings_of("rotation", hidden);
        Embedded rotation(settings);
        rotation.parameters.initialize(1, settings.initializer_range);
        ModelSettings waves = small_settings("sinusoidal");
        waves.hidden = hidden;
        waves.position[0].options["scale"] = settings.initializer_range * std::sqrt(2.0);
        Embedded sinusoidal(waves);
        const auto columns = static_cast<std::size_t>(hidden);
        const std::vector<double> turned = positions(rotation, 200, columns),
                                  fixed = positions(sinusoidal, 200, columns);
        for (std::size_t i = 0; i < 200; ++i) {
            for (std::size_t c = 0; c < columns / 2; ++c) {
                EXPECT_NEAR(turned[i * columns + c], fixed[i * columns + 2 * c + 1], 1e-13);
                EXPECT_NEAR(turned[i * columns + columns / 2 + c], fixed[i * columns + 2 * c], 1e-13);
            }
        }
    }
}

double size_of_row(const Embedded& net, const std::vector<double>& values, std::size_t row) {
    double sum = 0;
    for (const double value : net.row(values, row)) sum += value * value;
    return std::sqrt(sum);
}

// Where the orbits lead, far past any training length: gru to one point, rotation around its circles, mlp away.
TEST(Recursive, OrbitsContractTurnOrRunAway) {
    Embedded gru(settings_of("gru"), 0.3), rotation(settings_of("rotation")), mlp(settings_of("mlp"));
    const std::vector<double> still = positions(gru, 1000), circles = positions(rotation, 1000),
                              away = positions(mlp, 1000);
    EXPECT_GT(largest_difference(gru.row(still, 0), gru.row(still, 1)), 1e-2);
    EXPECT_LE(largest_difference(gru.row(still, 500), gru.row(still, 999)), 1e-12);
    EXPECT_NEAR(size_of_row(rotation, circles, 999), size_of_row(rotation, circles, 0), 1e-10);
    EXPECT_GT(largest_difference(rotation.row(circles, 998), rotation.row(circles, 999)), 1e-2);
    EXPECT_GT(size_of_row(mlp, away, 999), 50 * size_of_row(mlp, away, 9));
}

TEST(Recursive, MlpAndOdeStandStillBeforeTraining) {
    for (const char* function : {"mlp", "ode"}) {
        Embedded net(settings_of(function));
        net.parameters.initialize(1, 0.02);
        const std::vector<double> p = positions(net, 50);
        EXPECT_EQ(net.row(p, 49), net.row(p, 0));
        EXPECT_GT(size_of_row(net, p, 0), 0.01);
    }
}

TEST(Recursive, ParametersAreAsManyAsTheFormulasSay) {
    const std::int64_t h = 6, m = 4;
    const std::pair<const char*, std::int64_t> expected[] = {{"mlp", 2 * h * m + m + 2 * h},
                                                             {"ode", 2 * h * m + 2 * m + 2 * h},
                                                             {"gru", 3 * h * h + 4 * h},
                                                             {"rotation", h + h / 2}};
    for (const auto& [function, count] : expected) {
        ModelSettings settings = settings_of(function);
        settings.position[0].options["width"] = m;
        EXPECT_EQ(Embedded(settings).parameters.count(), count) << function;
    }
}

TEST(Recursive, GradientsOfEveryFunctionMatchCentralDifferences) {
    for (const char* function : {"gru", "rotation", "ode"}) {
        ModelSettings settings = settings_of(function);
        settings.layers = 1;
        settings.position[0].options["steps"] = std::int64_t{2};
        const auto model = testing::perturbed_model(settings);
        const testing::RaggedBatch batch({4, 1, 3}, 11);
        const auto f = [&](Tape& tape) {
            return model->logits(tape, model->encode(tape, batch.input, {}), batch.input, {});
        };
        SCOPED_TRACE(function);
        testing::expect_gradients_match(model->parameters(), f, testing::key_biases(*model));
    }
}

TEST(Recursive, OptionsOutOfRangeAreRefused) {
    const std::pair<const char*, OptionValue> outside[] = {
        {"width", std::int64_t{-1}}, {"steps", std::int64_t{0}}, {"interval", 0.0}};
    for (const auto& [option, value] : outside) {
        ModelSettings settings = settings_of("ode");
        settings.position[0].options[option] = value;
        EXPECT_THROW(MaskedLanguageModel(settings, DType::float32), ModelError) << option;
    }
    ModelSettings odd = settings_of("rotation", 7);
    odd.heads = 1;
    EXPECT_THROW(MaskedLanguageModel(odd, DType::float32), ModelError);
}

}  // namespace
}  // namespace locus
