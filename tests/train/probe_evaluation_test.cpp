#include "train/probe_evaluation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "data/error.h"
#include "data/probes/probe_batches.h"
#include "tests/train/tiny_run.h"
#include "train/batch_tensors.h"
#include "train/checkpoint.h"
#include "train/configuration.h"
#include "train/error.h"
#include "train/model_folder.h"
#include "train/prepared_data.h"
#include "train/trainer.h"

namespace locus {
namespace {

constexpr const char* tiny_model =
    "model: {layers: 2, hidden: 16, heads: 2, feed_forward: 32, max_length: 16, initializer_range: 0.3, "
    "dropout: {hidden: 0, attention: 0}}\n";

Settings settings_of(const std::string& data, const std::vector<std::string>& overrides = {}) {
    return parse_configuration("data: " + data + "\n" + tiny_model, "test.yaml", overrides);
}

/// Untrained, with large random weights, in double precision.
MaskedLanguageModel random_model(const Settings& settings) {
    ModelSettings model = settings.model;
    model.vocab_size = probe_tokenizer(settings.data.probe)->vocab_size();
    return MaskedLanguageModel(model, DType::float64);
}

/// Logits of all rows of one sequence, [row][vocabulary].
std::vector<std::vector<double>> logits_of(const MaskedLanguageModel& model, const std::vector<std::int32_t>& ids) {
    TokenBatch batch;
    batch.clear();
    batch.ids = ids;
    batch.offsets.push_back(static_cast<std::int32_t>(ids.size()));
    batch.masked_rows.resize(ids.size());
    std::iota(batch.masked_rows.begin(), batch.masked_rows.end(), 0);
    batch.targets = ids;
    BatchTensors tensors;
    tensors.fill(batch, 0);
    Arena arena;
    Tape tape(arena);
    tape.set_recording(false);
    const Var encoded = model.encode(tape, tensors.input(), RunMode{});
    const Tensor logits = model.logits(tape, encoded, tensors.input(), tensors.targets().rows).value();
    const std::int64_t vocabulary = model.settings().vocab_size;
    std::vector<std::vector<double>> rows;
    for (std::size_t row = 0; row < ids.size(); ++row) {
        const double* begin = logits.as<double>() + static_cast<std::int64_t>(row) * vocabulary;
        rows.emplace_back(begin, begin + vocabulary);
    }
    return rows;
}

/// The largest difference between the logits of any row and those of the first.
double spread_of_rows(const std::vector<std::string>& overrides) {
    const Settings settings = settings_of("{probe: absolute_index, sequence_length: 16}", overrides);
    MaskedLanguageModel model = random_model(settings);
    model.initialize(3);
    ProbeExample example;
    make_probe_example(settings.data.probe, settings.data.probe.train_length, ProbeSplit::test, 0, example);
    if (settings.data.boundary == "cls_sep") {
        example.ids.insert(example.ids.begin(), SpecialTokens{}.cls);
        example.ids.push_back(SpecialTokens{}.sep);
    }
    const auto rows = logits_of(model, example.ids);
    double largest = 0;
    for (const std::int32_t row : example.rows)
        for (std::size_t v = 0; v < rows[1].size(); ++v)
            largest = std::max(largest, std::abs(rows[static_cast<std::size_t>(row)][v] - rows[1][v]));
    return largest;
}

TEST(AbsoluteIndexProbe, RelativePositionsGiveAllRowsTheSameLogits) {
    for (const char* encoding : {"none", "t5_bias", "rope", "disentangled", "alibi", "transformer_xl"})
        EXPECT_LT(spread_of_rows({std::string("model.position=") + encoding}), 1e-10) << encoding;
}

TEST(AbsoluteIndexProbe, AbsolutePositionsTheEnhancedDecoderAndClsTellRowsApart) {
    EXPECT_GT(spread_of_rows({"model.position=absolute"}), 1e-3);
    EXPECT_GT(spread_of_rows({"model.position=disentangled", "model.mask_decoder=enhanced"}), 1e-3);
    EXPECT_GT(spread_of_rows({"model.position=t5_bias", "data.boundary=cls_sep"}), 1e-6);
}

/// Over examples of the probe order and their mirror images: the share that gets the right one of the two answers, and the largest difference
/// between the masks' logits of an example and of its mirror image.
struct Paired {
    double accuracy = 0, difference = 0;
};

Paired paired(const std::string& position, int pairs) {
    const Settings settings = settings_of("{probe: order, sequence_length: 16}", {"model.position=" + position});
    MaskedLanguageModel model = random_model(settings);
    model.initialize(5);
    const std::size_t before = first_symbol + 2, after = first_symbol + 3;
    Paired result;
    ProbeExample example;
    for (int index = 0; index < pairs; ++index) {
        make_probe_example(settings.data.probe, 16, ProbeSplit::test, index, example);
        const auto row = static_cast<std::size_t>(example.rows[0]);
        const std::vector<double> logits = logits_of(model, example.ids)[row];
        std::reverse(example.ids.begin(), example.ids.end());
        const std::vector<double> mirrored = logits_of(model, example.ids)[15 - row];
        const bool is_before = static_cast<std::size_t>(example.targets[0]) == before;
        result.accuracy += (logits[before] > logits[after]) == is_before ? 0.5 / pairs : 0;
        result.accuracy += (mirrored[before] > mirrored[after]) != is_before ? 0.5 / pairs : 0;
        for (std::size_t v = 0; v < logits.size(); ++v)
            result.difference = std::max(result.difference, std::abs(logits[v] - mirrored[v]));
    }
    return result;
}

TEST(OrderProbe, SymmetricEncodingsAreRightOncePerPairWhateverTheirWeights) {
    for (const char* position : {"{encoding: alibi, sides: symmetric}", "none"}) {
        const Paired result = paired(position, 40);
        EXPECT_NEAR(result.accuracy, 0.5, 1e-12) << position;
        EXPECT_LT(result.difference, 1e-10) << position;
    }
}

TEST(OrderProbe, SignedEncodingsAreNotBoundToThat) {
    for (const char* position : {"t5_bias", "rope", "disentangled"})
        EXPECT_GT(paired(position, 10).difference, 1e-6) << position;
}

TEST(ProbeEvaluation, HasARowForAllAndOnePerCondition) {
    const Settings settings = settings_of("{probe: {name: shifted_lookup, shifts: [1, -2]}, sequence_length: 16}",
                                          {"model.position=t5_bias"});
    MaskedLanguageModel model = random_model(settings);
    model.initialize(1);
    const std::vector<ProbeResult> results = evaluate_probe(model, settings.data, {16, 40}, 50);
    ASSERT_EQ(results.size(), 6U);
    EXPECT_EQ(results[0].condition, "all");
    EXPECT_EQ(results[1].condition, "shift=-2");
    EXPECT_EQ(results[2].condition, "shift=+1");
    EXPECT_EQ(results[3].length, 40);
    EXPECT_EQ(results[0].targets, results[1].targets + results[2].targets);
    for (const ProbeResult& result : results) {
        EXPECT_EQ(result.ceiling_accuracy, 1.0);
        EXPECT_LE(result.accuracy_ci_low, result.accuracy);
        EXPECT_GE(result.accuracy_ci_high, result.accuracy);
        EXPECT_GT(result.floor_accuracy, 1.0 / 8);
        EXPECT_LT(result.floor_accuracy, 0.6);
        EXPECT_GT(result.floor_loss, 1.0);
        EXPECT_LT(result.floor_loss, std::log(8.0));
        EXPECT_TRUE(std::isfinite(result.loss));
    }
    const std::string csv = probe_csv(model.settings(), settings.data, results);
    EXPECT_EQ(csv.rfind("probe,variant,boundary,encoding,condition,train_length,length,", 0), 0U);
    EXPECT_NE(csv.find("\nshifted_lookup,,none,t5_bias,shift=+1,16,40,"), std::string::npos) << csv;
    EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 7);
}

TEST(ProbeEvaluation, IsTheLossAndAccuracyOfTheModelAndTheSameTwice) {
    const Settings settings = settings_of("{probe: absolute_index, sequence_length: 16}", {"model.position=none"});
    MaskedLanguageModel model = random_model(settings);
    model.initialize(1);
    const std::vector<ProbeResult> once = evaluate_probe(model, settings.data, {16}, 1000);
    const std::vector<ProbeResult> twice = evaluate_probe(model, settings.data, {16}, 1000);
    ASSERT_EQ(once.size(), 1U);
    EXPECT_EQ(once[0].loss, twice[0].loss);
    EXPECT_EQ(once[0].targets, 16) << "there is one example, not a thousand";
    ProbeExample example;
    make_probe_example(settings.data.probe, 16, ProbeSplit::test, 0, example);
    const std::vector<std::vector<double>> logits = logits_of(model, example.ids);
    double loss = 0;
    for (std::size_t row = 0; row < 16; ++row) {
        double sum = 0;
        for (const double logit : logits[row]) sum += std::exp(logit);
        loss += std::log(sum) - logits[row][static_cast<std::size_t>(example.targets[row])];
    }
    EXPECT_NEAR(once[0].loss, loss / 16, 1e-10);
}

TEST(ProbeEvaluation, ALossThatIsNoNumberIsAnError) {
    const Settings settings = settings_of("{probe: absolute_index, sequence_length: 16}", {"model.position=none"});
    MaskedLanguageModel model = random_model(settings);
    model.initialize(1);
    Parameter& bias = *model.parameters().find("cls.predictions.bias");
    bias.value.as<double>()[0] = std::nan("");
    EXPECT_THROW(evaluate_probe(model, settings.data, {16}, 1), NotFiniteError);
}

TEST(ProbeEvaluation, RefusesALengthThatTheProbeDoesNotFitInto) {
    const Settings settings = settings_of("{probe: distance_retrieval, sequence_length: 40}", {"model.position=none"});
    MaskedLanguageModel model = random_model(settings);
    EXPECT_THROW(evaluate_probe(model, settings.data, {20}, 10), DataError);
}

// ---- the whole path ---------------------------------------------------------------------------------------------------------------------

/// A probe that a tiny model solves in a second or two.
Settings tiny_probe_run(const TinyRun& tiny, const std::string& name, const std::vector<std::string>& more = {}) {
    std::vector<std::string> overrides = {"run.name=" + name,
                                          "run.directory=" + (tiny.folder() / "runs").string(),
                                          "run.threads=1",
                                          "model.position=t5_bias",
                                          "model.initializer_range=0.1",
                                          "train.steps=240",
                                          "train.batch_size=32",
                                          "train.optimizer.learning_rate=1e-2",
                                          "train.log_every=20",
                                          "train.evaluate_every=120",
                                          "train.evaluate_samples=200",
                                          "train.checkpoint_every=60",
                                          "train.keep_last=0"};
    overrides.insert(overrides.end(), more.begin(), more.end());
    return settings_of("{probe: {name: shifted_lookup, shifts: [1, -1], symbols: 4}, sequence_length: 10}", overrides);
}

TEST(ProbeRun, ATinyModelSolvesATinyProbeAndItsEvaluationSaysSo) {
    const TinyRun tiny;
    ASSERT_EQ(train(tiny_probe_run(tiny, "solved"), false), 0);
    const std::filesystem::path csv = tiny.folder() / "probe.csv";
    ProbeEvaluation asked;
    asked.model = tiny.run("solved").string();
    asked.examples = 300;
    asked.csv = csv.string();
    asked.threads = 1;
    ASSERT_EQ(run_probe_evaluation(asked), 0);
    const LoadedModel loaded = load_model(tiny.run("solved"));
    const Settings settings = tiny_probe_run(tiny, "solved");
    const ProbeResult result = evaluate_probe(*loaded.model, settings.data, {10}, 300)[0];
    EXPECT_GT(result.accuracy, 0.95);
    EXPECT_LT(result.floor_accuracy, 0.6);
    const std::string text = read_text(csv);
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1 + 3 * 3);  // lengths 10, 20, 40; all and two shifts
    EXPECT_EQ(loaded.tokenizer->token(first_symbol + 4), "left1");
}

TEST(ProbeRun, ResumingGivesTheBitsOfTheUninterruptedRun) {
    const TinyRun tiny;
    Settings settings = tiny_probe_run(
        tiny, "whole",
        {"train.steps=20", "train.checkpoint_every=5", "train.evaluate_every=5", "train.schedule.warmup=2"});
    ASSERT_EQ(train(settings, false), 0);
    settings.run.name = "resumed";
    std::filesystem::copy(tiny.run("whole"), tiny.run("resumed"),
                          std::filesystem::copy_options::recursive | std::filesystem::copy_options::copy_symlinks);
    for (const std::int64_t later : {10, 15, 20})
        std::filesystem::remove_all(checkpoint_folder(tiny.run("resumed"), later));
    ASSERT_EQ(train(settings, true), 0);
    EXPECT_TRUE(read_text(tiny.run("whole") / "latest" / "model.safetensors") ==
                read_text(tiny.run("resumed") / "latest" / "model.safetensors"));
    EXPECT_EQ(metrics_without_times(tiny.run("whole")), metrics_without_times(tiny.run("resumed")));
    settings.data.probe.seed = 2;
    EXPECT_THROW(train(settings, true), ConfigurationError);
}

TEST(ProbeRun, GoesOnFromAModelOfTheSameWordsOnly) {
    const TinyRun tiny;
    const std::vector<std::string> brief = {"train.steps=2", "train.checkpoint_every=0", "train.evaluate_every=0",
                                            "train.schedule.warmup=0"};
    ASSERT_EQ(train(tiny_probe_run(tiny, "first", brief), false), 0);
    Settings longer = tiny_probe_run(tiny, "longer", brief);
    longer.train.init_from = tiny.run("first").string();
    longer.data.sequence_length = 20;
    longer.data.probe.train_length = 20;
    EXPECT_EQ(train(longer, false), 0);
    Settings other = tiny_probe_run(tiny, "other", brief);
    other.train.init_from = tiny.run("first").string();
    other.data.probe.options.at("symbols") = std::int64_t{5};
    EXPECT_THROW(train(other, false), DataError);
}

TEST(ProbeRun, AModelOfTextHasNothingToBeAsked) {
    const TinyRun tiny;
    ASSERT_EQ(train(tiny.settings(), false), 0);
    ProbeEvaluation asked;
    asked.model = tiny.run("tiny").string();
    EXPECT_THROW(run_probe_evaluation(asked), ConfigurationError);
    asked.csv = (tiny.folder() / "no" / "such.csv").string();
    EXPECT_THROW(run_probe_evaluation(asked), ConfigurationError);
}

}  // namespace
}  // namespace locus
