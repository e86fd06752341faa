#include "train/trainer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "tests/train/tiny_run.h"
#include "train/checkpoint.h"
#include "train/error.h"
#include "train/prepared_data.h"
#include "train/safetensors.h"
#include "train/training_step.h"

namespace locus {
namespace {

namespace fs = std::filesystem;

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string error_of(const Settings& settings, bool resume) {
    try {
        train(settings, resume);
        return "no error";
    } catch (const std::exception& error) {
        return error.what();
    }
}

fs::path step_folder(const fs::path& run, std::int64_t step) { return checkpoint_folder(run, step); }

void expect_same_weights(const fs::path& a, const fs::path& b) {
    for (const char* name : {"model.safetensors", "optimizer.safetensors"})
        EXPECT_TRUE(read_text(a / name) == read_text(b / name)) << name << " differs between " << a << " and " << b;
}

// As a kill right after the checkpoint of `step` would have left the run.
void cut_run_back(const fs::path& run, std::int64_t step, std::int64_t steps) {
    for (std::int64_t later = step + 1; later <= steps; ++later) fs::remove_all(step_folder(run, later));
}

void copy_run(const fs::path& from, const fs::path& to) {
    fs::copy(from, to, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
}

TEST(Trainer, TheLossFallsAndTheRunFolderHasWhatItShould) {
    const TinyRun tiny;
    Settings settings = tiny.settings();
    settings.train.steps = 80;
    settings.train.evaluate_every = 20;
    settings.train.checkpoint_every = 30;
    settings.train.keep_last = 1;
    settings.train.optimizer.learning_rate = 1e-2;
    ASSERT_EQ(train(settings, false), 0);
    const fs::path run = tiny.run("tiny");
    const std::vector<double> losses = metrics_column(run, "valid", 4);
    ASSERT_EQ(losses.size(), 5U);  // 0, 20, 40, 60, 80
    EXPECT_NEAR(losses.front(), std::log(261.0), 0.3);
    EXPECT_LT(losses.back(), losses.front() - 1.5);
    EXPECT_EQ(metrics_column(run, "train", 0).size(), 80U);
    for (const char* name :
         {"config.yaml", "log.txt", "metrics.csv", "latest/model.safetensors", "best/tokenizer.json"})
        EXPECT_TRUE(fs::exists(run / name)) << name;
    EXPECT_EQ(fs::canonical(run / "latest").filename(), "step-00000080");
    EXPECT_TRUE(contains(read_text(run / "log.txt"), "stopped: steps reached (80)"));
    EXPECT_FALSE(contains(read_text(run / "log.txt"), "\x1b"));
}

TEST(Trainer, TheUntrainedModelIsValidatedOnAFewSamplesAndATrainedOneOnAll) {
    const TinyRun tiny;
    Settings settings = tiny.settings("source");
    settings.train.evaluate_samples = 0;
    settings.data.sequence_length = 8;  // more than 64 samples
    ASSERT_EQ(train(settings, false), 0);
    const std::string log = read_text(tiny.run("source") / "log.txt");
    EXPECT_TRUE(contains(log, "(64 samples, "));
    Settings further = tiny.settings("further");
    further.train.evaluate_samples = 0;
    further.data.sequence_length = 8;
    further.train.init_from = tiny.run("source").string();
    further.data.tokenizer.path = (tiny.run("source") / "latest").string();
    ASSERT_EQ(train(further, false), 0);
    EXPECT_FALSE(contains(read_text(tiny.run("further") / "log.txt"), "(64 samples, "));
    const std::vector<double> losses = metrics_column(tiny.run("source"), "valid", 4);
    EXPECT_EQ(metrics_column(tiny.run("further"), "valid", 4).front(), *std::min_element(losses.begin(), losses.end()));
}

TEST(Trainer, BestIsTheLowestValidationLoss) {
    const TinyRun tiny;
    Settings settings = tiny.settings();
    settings.train.optimizer.learning_rate = 0.05;  // restless
    settings.train.evaluate_every = 1;
    ASSERT_EQ(train(settings, false), 0);
    std::vector<double> losses = metrics_column(tiny.run("tiny"), "valid", 4);
    losses.erase(losses.begin());  // the untrained model is no candidate
    const auto best = std::min_element(losses.begin(), losses.end()) - losses.begin() + 1;
    EXPECT_EQ(fs::canonical(tiny.run("tiny") / "best"), fs::canonical(step_folder(tiny.run("tiny"), best)));
    EXPECT_EQ(read_trainer_state(tiny.run("tiny") / "latest").best_step, best);
}

TEST(Trainer, ResumingAnywhereGivesTheBitsOfTheUninterruptedRun) {
    const TinyRun tiny;
    Settings settings = tiny.settings();
    const PreparedData data = prepare_data(settings, {});
    const std::int64_t epoch_end =
        data.train->samples() / 16;  // the step in which the first epoch ends is the next one
    settings.train.batch_size = 8;
    settings.train.steps = 2 * epoch_end + 3;
    ASSERT_GT(epoch_end, 3);
    ASSERT_LT(epoch_end, 40);
    ASSERT_EQ(train(settings, false), 0);
    const fs::path whole = tiny.run("tiny");
    for (const std::int64_t step : {std::int64_t{1}, epoch_end, epoch_end + 1, settings.train.steps - 1}) {
        settings.run.name = "resumed-" + std::to_string(step);
        const fs::path run = tiny.run(settings.run.name);
        copy_run(whole, run);
        cut_run_back(run, step, settings.train.steps);
        ASSERT_EQ(train(settings, true), 0);
        expect_same_weights(whole / "latest", run / "latest");
        expect_same_weights(whole / "best", run / "best");
        EXPECT_EQ(metrics_without_times(whole), metrics_without_times(run)) << "resumed at " << step;
    }
}

TEST(Trainer, ResumingWithoutACheckpointStartsAndAFinishedRunIsDone) {
    const TinyRun tiny;
    const Settings settings = tiny.settings();
    ASSERT_EQ(train(settings, true), 0);
    const std::string metrics = read_text(tiny.run("tiny") / "metrics.csv");
    ASSERT_EQ(train(settings, true), 0);
    EXPECT_EQ(read_text(tiny.run("tiny") / "metrics.csv"), metrics);
}

// Killed after the last checkpoint had appeared, and before the links pointed at it.
TEST(Trainer, AFinishedRunGetsItsLinksBack) {
    const TinyRun tiny;
    Settings settings = tiny.settings();
    ASSERT_EQ(train(settings, false), 0);
    const fs::path run = tiny.run("tiny"), latest = fs::canonical(run / "latest"), best = fs::canonical(run / "best");
    for (const char* const link : {"latest", "best"}) {
        fs::remove(run / link);
        fs::create_directory_symlink(step_folder(run, 4).lexically_relative(run), run / link);
    }
    ASSERT_NE(fs::canonical(run / "latest"), latest);
    ASSERT_EQ(train(settings, true), 0);
    EXPECT_EQ(fs::canonical(run / "latest"), latest);
    EXPECT_EQ(fs::canonical(run / "best"), best);
}

TEST(Trainer, AnExistingRunIsRefusedWithTheRemedies) {
    const TinyRun tiny;
    fs::create_directories(tiny.run("tiny"));
    EXPECT_THROW(train(tiny.settings(), false), ConfigurationError);
    const std::string message = error_of(tiny.settings(), false);
    EXPECT_TRUE(contains(message, "--resume") && contains(message, "run.name")) << message;
}

TEST(Trainer, ResumingRefusesAnotherConfigurationAndListsEachDifference) {
    const TinyRun tiny;
    ASSERT_EQ(train(tiny.settings(), false), 0);
    Settings other = tiny.settings();
    other.run.seed = 9;
    other.model.hidden = 32;
    other.train.batch_size = 8;
    other.train.steps = 20;
    other.train.optimizer.learning_rate = 1e-5;
    EXPECT_THROW(train(other, true), ConfigurationError);
    const std::string message = error_of(other, true);
    for (const char* key :
         {"run.seed", "model.hidden", "train.batch_size", "train.steps", "train.optimizer.learning_rate"})
        EXPECT_TRUE(contains(message, key)) << key << " in\n" << message;
    EXPECT_FALSE(contains(message, "model.layers")) << message;
}

TEST(Trainer, ResumingAllowsWhatDoesNotChangeTheNumbers) {
    const TinyRun tiny;
    ASSERT_EQ(train(tiny.settings(), false), 0);
    cut_run_back(tiny.run("tiny"), 5, 12);
    Settings other = tiny.settings();
    other.run.threads = 1;
    other.train.log_every = 3;
    other.train.evaluate_every = 5;
    other.train.checkpoint_every = 4;
    other.train.keep_last = 2;
    other.train.max_minutes = 60;
    EXPECT_EQ(train(other, true), 0);
}

TEST(Trainer, RecomputationChangesNoFileButTheConfigurationAndMayBeSwitchedWhenResuming) {
    const TinyRun tiny;
    for (const char* precision : {"float32", "bfloat16"}) {
        Settings settings = tiny.settings(std::string("kept-") + precision);
        settings.run.precision = precision;
        settings.model.layers = 2;
        ASSERT_EQ(train(settings, false), 0);
        const fs::path kept = tiny.run(settings.run.name);
        settings.run.name = std::string("recomputed-") + precision;
        settings.model.recompute = true;
        ASSERT_EQ(train(settings, false), 0);
        const fs::path recomputed = tiny.run(settings.run.name);
        expect_same_weights(kept / "latest", recomputed / "latest");
        EXPECT_EQ(metrics_without_times(kept), metrics_without_times(recomputed));
        EXPECT_EQ(read_text(kept / "latest/config.json"), read_text(recomputed / "latest/config.json"));
        cut_run_back(recomputed, 5, 12);
        settings.model.recompute = false;
        ASSERT_EQ(train(settings, true), 0);
        expect_same_weights(kept / "latest", recomputed / "latest");
    }
}

TEST(Trainer, ResumingRefusesOtherText) {
    const TinyRun tiny;
    ASSERT_EQ(train(tiny.settings(), false), 0);
    cut_run_back(tiny.run("tiny"), 5, 12);
    write_tiny_text(tiny.folder() / "train.txt", 50, 12);
    EXPECT_THROW(train(tiny.settings(), true), FileError);
    EXPECT_TRUE(contains(error_of(tiny.settings(), true), "fingerprint"));
}

TEST(Trainer, OnlySchedulesThatDoNotKnowTheEndCanBeExtended) {
    const TinyRun tiny;
    Settings settings = tiny.settings();
    settings.train.schedule.type = "constant";
    settings.train.schedule.decay = -1;  // the default, which must not depend on the end here
    ASSERT_EQ(train(settings, false), 0);
    settings.train.steps = 15;
    ASSERT_EQ(train(settings, true), 0);
    const std::vector<double> steps = metrics_column(tiny.run("tiny"), "train", 0);
    ASSERT_EQ(steps.size(), 15U);
    EXPECT_EQ(steps.back(), 15);
    settings.train.schedule.type = "linear";
    EXPECT_TRUE(contains(error_of(settings, true), "train.schedule.type"));
}

TEST(Trainer, WarmupStableDecayCanEndElsewhereUntilItsLastPhaseBegins) {
    const TinyRun tiny;
    Settings settings = tiny.settings("asked-for-sixteen");
    settings.train.schedule.type = "warmup_stable_decay";
    settings.train.schedule.decay = 4;
    settings.train.steps = 16;
    ASSERT_EQ(train(settings, false), 0);
    settings.run.name = "asked-for-twelve";
    settings.train.steps = 12;
    ASSERT_EQ(train(settings, false), 0);
    settings.train.steps = 16;
    EXPECT_TRUE(contains(error_of(settings, true), "train.steps: 12 in the checkpoint, 16 now"));
    cut_run_back(tiny.run("asked-for-twelve"), 8, 12);
    ASSERT_EQ(train(settings, true), 0);
    expect_same_weights(step_folder(tiny.run("asked-for-twelve"), 16), step_folder(tiny.run("asked-for-sixteen"), 16));
}

TEST(Trainer, DamagedNewestCheckpointIsPassedOverAndAllDamagedIsAnError) {
    const TinyRun tiny;
    ASSERT_EQ(train(tiny.settings("whole"), false), 0);
    copy_run(tiny.run("whole"), tiny.run("tiny"));
    fs::resize_file(step_folder(tiny.run("tiny"), 12) / "model.safetensors", 1000);
    ASSERT_EQ(train(tiny.settings(), true), 0);
    expect_same_weights(tiny.run("whole") / "latest", tiny.run("tiny") / "latest");
    EXPECT_EQ(metrics_without_times(tiny.run("whole")), metrics_without_times(tiny.run("tiny")));
    for (std::int64_t step = 1; step <= 12; ++step) fs::remove(step_folder(tiny.run("tiny"), step) / "trainer.json");
    EXPECT_THROW(train(tiny.settings(), true), FileError);
    EXPECT_TRUE(contains(error_of(tiny.settings(), true), "train.init_from"));
}

TEST(Trainer, EarlyStopCountsValidationsWithoutImprovementAndSurvivesResuming) {
    const TinyRun tiny;
    Settings settings = tiny.settings();
    settings.train.optimizer.learning_rate = 0;  // nothing ever improves after the first validation
    settings.train.evaluate_every = 2;
    settings.train.early_stop = 3;
    ASSERT_EQ(train(settings, false), 0);
    const fs::path run = tiny.run("tiny");
    EXPECT_EQ(read_trainer_state(run / "latest").step, 8);  // best at 2; 4, 6 and 8 do not improve
    EXPECT_TRUE(
        contains(read_text(run / "log.txt"), "stopped: early stop: no improvement in 3 evaluations; best step 2"));
    const std::string metrics = metrics_without_times(run);
    cut_run_back(run, 5, 12);
    ASSERT_EQ(train(settings, true), 0);
    EXPECT_EQ(read_trainer_state(run / "latest").step, 8);
    EXPECT_EQ(metrics_without_times(run), metrics);
}

TEST(Trainer, TheTimeLimitStopsWithAValidationAndACheckpoint) {
    const TinyRun tiny;
    Settings settings = tiny.settings();
    settings.train.steps = 1'000'000;
    settings.train.evaluate_every = 0;
    settings.train.checkpoint_every = 0;
    settings.train.log_every = 1000;
    settings.train.max_minutes = 0.5 / 60;
    ASSERT_EQ(train(settings, false), 0);
    const TrainerState state = read_trainer_state(tiny.run("tiny") / "latest");
    EXPECT_EQ(state.validated_step, state.step);
    EXPECT_TRUE(contains(read_text(tiny.run("tiny") / "log.txt"), "stopped: time limit reached"));
    ASSERT_EQ(train(settings, true), 0);  // still finished
    EXPECT_EQ(read_trainer_state(tiny.run("tiny") / "latest").step, state.step);
}

TEST(Trainer, OneAndTwoThreadsGiveTheSameBitsInFloat64) {
    const TinyRun tiny;
    for (const int threads : {1, 2}) {
        Settings settings = tiny.settings("threads-" + std::to_string(threads));
        settings.run.threads = threads;
        settings.run.precision = "float64";
        settings.train.steps = 5;
        ASSERT_EQ(train(settings, false), 0);
    }
    expect_same_weights(tiny.run("threads-1") / "latest", tiny.run("threads-2") / "latest");
    EXPECT_EQ(metrics_without_times(tiny.run("threads-1")), metrics_without_times(tiny.run("threads-2")));
}

TEST(Trainer, Bfloat16ProductsLearnWhatFloat32Learns) {
    const TinyRun tiny;
    std::vector<std::vector<double>> losses;
    for (const char* precision : {"float32", "bfloat16"}) {
        Settings settings = tiny.settings(precision);
        settings.run.precision = precision;
        settings.train.steps = 40;
        ASSERT_EQ(train(settings, false), 0);
        losses.push_back(metrics_column(tiny.run(precision), "train", 4));
    }
    ASSERT_EQ(losses[0].size(), losses[1].size());
    EXPECT_NE(losses[0], losses[1]);
    for (std::size_t step = 0; step < losses[0].size(); ++step) EXPECT_NEAR(losses[0][step], losses[1][step], 0.02);
}

// ---- not finite -------------------------------------------------------------------------------------------------------------------------

TEST(Trainer, ANanInTheWeightsStopsTrainingAndIsNamed) {
    const TinyRun tiny;
    ASSERT_EQ(train(tiny.settings("source"), false), 0);
    const fs::path source = fs::canonical(tiny.run("source") / "latest");
    const fs::path bad = tiny.folder() / "bad";
    fs::copy(source, bad, fs::copy_options::recursive);
    fs::remove(bad / "trainer.json");
    const std::string name = "bert.encoder.layer.0.intermediate.dense.bias";
    std::string bytes = read_text(bad / "model.safetensors");
    const SafetensorsFile file(source / "model.safetensors");
    const std::string pattern(file.at(name).data, file.at(name).bytes);
    const std::size_t place = bytes.find(pattern);
    ASSERT_NE(place, std::string::npos);
    ASSERT_EQ(bytes.find(pattern, place + 1), std::string::npos);
    const float nan = std::numeric_limits<float>::quiet_NaN();
    std::memcpy(bytes.data() + place, &nan, 4);
    write_text(bad / "model.safetensors", bytes);

    Settings settings = tiny.settings();
    settings.train.init_from = bad.string();
    EXPECT_THROW(train(settings, false), NotFiniteError);
    const std::string message = error_of(settings, true);
    EXPECT_TRUE(contains(message, "parameter " + name)) << message;
    EXPECT_TRUE(contains(read_text(tiny.run("tiny") / "metrics.csv"), ",valid,nan,"));
}

TEST(Trainer, AnExplodingRunWritesItsRowKeepsTheLastCheckpointAndNamesATensor) {
    const TinyRun tiny;
    Settings settings = tiny.settings();
    settings.train.optimizer.learning_rate = 1e30;
    settings.train.evaluate_every = 0;
    settings.train.schedule.warmup = 0;
    std::string message;
    try {
        train(settings, false);
    } catch (const NotFiniteError& error) {
        message = error.what();
    }
    EXPECT_TRUE(contains(message, "step 2: the loss is")) << message;
    EXPECT_TRUE(contains(message, "first tensor that is not finite: ")) << message;
    EXPECT_TRUE(contains(message, "step-00000001")) << message;
    const std::string metrics = read_text(tiny.run("tiny") / "metrics.csv");
    const std::string last = metrics.substr(metrics.rfind('\n', metrics.size() - 2) + 1);
    EXPECT_TRUE(last.rfind("2,", 0) == 0 && (contains(last, ",train,nan,") || contains(last, ",train,inf,"))) << last;
    EXPECT_EQ(fs::canonical(tiny.run("tiny") / "latest").filename(), "step-00000001");
}

// ---- one step -----------------------------------------------------------------------------------------------------------------------------

struct StepOutcome {
    std::vector<double> gradients;
    StepResult result;
    std::vector<std::size_t> growths;  // of the arena, after each step
    double parameter_bytes = 0;
};

StepOutcome run_steps(const TinyRun& tiny, std::int64_t batch_size, std::int64_t steps, double dropout,
                      StepClock* clock = nullptr) {
    Settings settings = tiny.settings();
    settings.train.batch_size = batch_size;
    settings.train.gradient_accumulation = 8 / batch_size;
    settings.model.hidden_dropout = settings.model.attention_dropout = dropout;
    const PreparedData data = prepare_data(settings, {});
    settings.model.vocab_size = data.tokenizer->vocab_size();
    MaskedLanguageModel model(settings.model, DType::float64);
    model.initialize(1);
    Optimizer optimizer(settings.train.optimizer, model.parameters());
    TrainingStep step(settings, model, optimizer);
    step.set_clock(clock);
    StepOutcome outcome;
    for (std::int64_t n = 1; n <= steps; ++n) {
        std::vector<TokenBatch> batches(static_cast<std::size_t>(8 / batch_size));
        std::int64_t first = (n - 1) * 8;
        for (TokenBatch& batch : batches) {
            data.train->training(first, batch_size, batch);
            first += batch_size;
        }
        outcome.result = step.run(n, batches);
        outcome.growths.push_back(step.arena().growths());
    }
    const double* gradients = model.parameters().gradients().as<double>();
    outcome.gradients.assign(gradients, gradients + model.parameters().count());
    outcome.parameter_bytes = static_cast<double>(model.parameters().values().bytes());
    return outcome;
}

TEST(TrainingStep, OneTimesEightIsTwoTimesFourIsEightTimesOne) {
    const TinyRun tiny;
    for (const double dropout : {0.0, 0.2}) {
        const StepOutcome whole = run_steps(tiny, 8, 1, dropout);
        double largest = 0;
        for (const double gradient : whole.gradients) largest = std::max(largest, std::abs(gradient));
        ASSERT_GT(largest, 1e-4);
        for (const std::int64_t batch_size : {4, 1}) {
            const StepOutcome parts = run_steps(tiny, batch_size, 1, dropout);
            EXPECT_EQ(parts.result.masked, whole.result.masked);
            EXPECT_NEAR(parts.result.loss, whole.result.loss, 1e-12);
            EXPECT_NEAR(parts.result.gradient_norm, whole.result.gradient_norm, 1e-12);
            for (std::size_t i = 0; i < whole.gradients.size(); ++i)
                ASSERT_TRUE(std::abs(parts.gradients[i] - whole.gradients[i]) <= 1e-13)
                    << i << ", batch size " << batch_size;
        }
    }
}

TEST(TrainingStep, AsksTheSystemForNoMemoryAfterTheFirstSteps) {
    const TinyRun tiny;
    const StepOutcome outcome = run_steps(tiny, 4, 12, 0.1);
    for (std::size_t n = 2; n < outcome.growths.size(); ++n)
        EXPECT_EQ(outcome.growths[n], outcome.growths[1]) << "step " << n + 1;
}

TEST(TrainingStep, BeingWatchedChangesNoBit) {
    const TinyRun tiny;
    StepClock clock;
    clock.start();
    const StepOutcome watched = run_steps(tiny, 4, 2, 0.1, &clock), alone = run_steps(tiny, 4, 2, 0.1);
    EXPECT_EQ(watched.result.loss, alone.result.loss);
    EXPECT_EQ(watched.result.gradient_norm, alone.result.gradient_norm);
    EXPECT_EQ(watched.gradients, alone.gradients);
    EXPECT_EQ(watched.growths, alone.growths);
    const double passes = 2 * watched.parameter_bytes;  // of two steps
    EXPECT_EQ(clock.work().at(Phase::zero_gradients, Pass::update).cost.bytes, passes);
    EXPECT_EQ(clock.work().at(Phase::gradient_norm, Pass::update).cost.bytes, passes);
    EXPECT_EQ(clock.work().at(Phase::adamw, Pass::update).cost.bytes, 7 * passes);
    EXPECT_GT(clock.work().at(Phase::adamw, Pass::update).seconds, 0);
}

TEST(TrainingStep, ASequenceWithoutAMaskedTokenIsNoError) {
    const TinyRun tiny;
    Settings settings = tiny.settings();
    settings.model.vocab_size = 261;
    MaskedLanguageModel model(settings.model, DType::float64);
    model.initialize(1);
    Optimizer optimizer(settings.train.optimizer, model.parameters());
    TrainingStep step(settings, model, optimizer);
    TokenBatch batch;
    batch.ids = {2, 3};
    batch.offsets = {0, 2};
    const StepResult result = step.run(1, std::span(&batch, 1));
    EXPECT_EQ(result.loss, 0);
    EXPECT_EQ(result.gradient_norm, 0);
}

}  // namespace
}  // namespace locus
