// On a GPU a step is recorded, and queued before the result of the one before it is read. Nothing of that may show: beside it stands the same run with
// LOCUS_GPU_WAIT=1, where nothing is recorded. On the host's stand-in a queued step begins only when its result is asked for (kernels/simt_runtime.h), so
// that whoever reads too early, or changes too early what was sent, is found here.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <limits>
#include <optional>
#include <thread>

#include "kernels/device.h"
#include "tests/gpus.h"
#include "tests/train/tiny_run.h"
#include "train/checkpoint.h"
#include "train/metrics.h"
#include "train/plan.h"
#include "train/prepared_data.h"
#include "train/run_folder.h"
#include "train/run_settings.h"
#include "train/signals.h"
#include "train/trainer.h"
#include "train/training_run.h"
#include "train/training_step.h"

namespace locus {
namespace {

namespace fs = std::filesystem;

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

class QueuedSteps : public ::testing::TestWithParam<std::string> {
protected:
    void SetUp() override {
        unsetenv("LOCUS_GPU_WAIT");
        if (!test::is_tested(device())) GTEST_SKIP() << why_unavailable(device());
    }
    void TearDown() override { unsetenv("LOCUS_GPU_WAIT"); }
    static Device device() { return GetParam() == "cuda" ? Device::cuda : Device::simt; }

    // Six steps of two micro-batches with dropout, of which only the last is saved: each but the last has another behind it.
    Settings settings(const std::string& name, const std::string& encoding = "disentangled") const {
        Settings settings = tiny_.settings(name);
        settings.run.device = GetParam();
        settings.train.steps = 6;
        settings.train.evaluate_every = 0;
        settings.train.evaluate_samples = 2;
        settings.train.checkpoint_every = 0;
        settings.train.batch_size = 1;
        settings.data.sequence_length = 16;
        settings.model.hidden_dropout = settings.model.attention_dropout = 0.2;
        settings.model.position = {default_position(encoding)};
        return settings;
    }

    void expect_same_files(const std::string& a, const std::string& b) const {
        for (const char* const file : {"model.safetensors", "optimizer.safetensors"})
            EXPECT_TRUE(read_text(tiny_.run(a) / "latest" / file) == read_text(tiny_.run(b) / "latest" / file)) << file;
        EXPECT_EQ(metrics_without_times(tiny_.run(a)), metrics_without_times(tiny_.run(b)));
    }

    TinyRun tiny_;
};

INSTANTIATE_TEST_SUITE_P(Gpu, QueuedSteps, ::testing::Values("simt", "cuda"),
                         [](const auto& info) { return info.param; });

// ---- whole runs -------------------------------------------------------------------------------------------------------------------------

TEST_P(QueuedSteps, ARunLeavesTheFilesOfTheSameRunStepByStep) {
    for (const char* const encoding : {"disentangled", "rope", "kerple", "recursive"}) {
        SCOPED_TRACE(encoding);
        Settings queued = settings(std::string("queued-") + encoding, encoding),
                 waited = settings(std::string("waited-") + encoding, encoding);
        if (std::string(encoding) == "disentangled") {  // both precisions, and a mask decoder
            queued.run.precision = waited.run.precision = "bfloat16";
            queued.model.mask_decoder = waited.model.mask_decoder = "enhanced";
            queued.model.layers = waited.model.layers = 2;
        }
        ASSERT_EQ(train(queued, false), 0);
        setenv("LOCUS_GPU_WAIT", "1", 1);
        ASSERT_EQ(train(waited, false), 0);
        unsetenv("LOCUS_GPU_WAIT");
        expect_same_files(queued.run.name, waited.run.name);
        EXPECT_EQ(metrics_column(tiny_.run(queued.run.name), "train", 0), (std::vector<double>{1, 2, 3, 4, 5, 6}));
    }
}

TEST_P(QueuedSteps, ValidationsAndCheckpointsSeeTheParametersOfTheirStep) {
    Settings rare = settings("rare"), often = settings("often");
    rare.train.evaluate_every = often.train.evaluate_every = 3;
    rare.train.checkpoint_every = 4;
    often.train.checkpoint_every = 1;  // no step is ever queued behind another
    ASSERT_EQ(train(rare, false), 0);
    ASSERT_EQ(train(often, false), 0);
    expect_same_files("rare", "often");
    for (const std::int64_t step : {3, 4}) {  // the first validation is the best so far
        const fs::path a = checkpoint_folder(tiny_.run("rare"), step), b = checkpoint_folder(tiny_.run("often"), step);
        EXPECT_TRUE(read_text(a / "model.safetensors") == read_text(b / "model.safetensors")) << step;
    }
    Settings resumed = rare;
    resumed.run.name = "resumed";
    fs::copy(tiny_.run("rare"), tiny_.run("resumed"), fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    for (std::int64_t step = 5; step <= 6; ++step) fs::remove_all(checkpoint_folder(tiny_.run("resumed"), step));
    ASSERT_EQ(train(resumed, true), 0);
    expect_same_files("rare", "resumed");
}

TEST_P(QueuedSteps, TheTimeLimitRecordsWhatIsUnderWay) {
    Settings limited = settings("limited");
    limited.train.steps = 1'000'000;
    limited.train.schedule.type = "constant";
    limited.train.max_minutes = 0.5 / 60;
    ASSERT_EQ(train(limited, false), 0);
    const TrainerState state = read_trainer_state(tiny_.run("limited") / "latest");
    EXPECT_EQ(state.validated_step, state.step);
    const std::vector<double> steps = metrics_column(tiny_.run("limited"), "train", 0);
    ASSERT_EQ(static_cast<std::int64_t>(steps.size()), state.step);
    for (std::size_t n = 0; n < steps.size(); ++n) EXPECT_EQ(steps[n], static_cast<double>(n + 1));
}

// Batches of text; the signal comes while those of one step are being made.
class BatchesWithASignal : public BatchSource {
public:
    BatchesWithASignal(std::unique_ptr<BatchSource> batches, std::int64_t at_sequence)
        : batches_(std::move(batches)), at_sequence_(at_sequence) {}
    void training(std::int64_t first, std::int64_t size, TokenBatch& batch) const override {
        if (first == at_sequence_) {
            std::this_thread::sleep_for(std::chrono::milliseconds(200));  // so that the run waits for this step
            std::raise(SIGTERM);
        }
        batches_->training(first, size, batch);
    }
    void validation(std::int64_t first, std::int64_t size, TokenBatch& batch) const override {
        batches_->validation(first, size, batch);
    }
    std::int64_t samples() const override { return batches_->samples(); }

private:
    std::unique_ptr<BatchSource> batches_;
    std::int64_t at_sequence_;
};

// The run of `settings` from its beginning, which is told to stop while it waits for the batches of step `at`. Returns its state at the end.
TrainerState stopped_run(Settings settings, const fs::path& folder, std::int64_t at) {
    const SignalGuard guard;
    PreparedData data = prepare_data(settings, {});
    data.train = std::make_unique<BatchesWithASignal>(
        std::move(data.train), (at - 1) * settings.train.batch_size * settings.train.gradient_accumulation);
    settings.model.vocab_size = data.tokenizer->vocab_size();
    settings.model.pad_id = data.tokenizer->special().pad;
    MaskedLanguageModel model(settings.model, arithmetic_named(settings.run.precision));
    model.initialize(settings.run.seed);
    Optimizer optimizer(settings.train.optimizer, model.parameters());
    model.move_to(device_of(settings.run));
    optimizer.move_to(model.device());
    TrainerState state;
    state.data_fingerprint = data.fingerprint;
    state.configuration = fixed_configuration(settings);
    fs::create_directories(folder);
    MetricsFile metrics(folder / "metrics.csv");
    TrainingRun run({settings, data, model, optimizer, metrics, folder}, state);
    EXPECT_EQ(run.run(), 128 + SIGTERM);
    return run.state();
}

TEST_P(QueuedSteps, ASignalRecordsWhatIsUnderWayAndTheRunGoesOnFromThere) {
    Settings whole = settings("whole");
    ASSERT_EQ(train(whole, false), 0);
    for (const std::int64_t at : {1, 3, 5}) {
        Settings stopped = settings("stopped-" + std::to_string(at));
        const fs::path folder = tiny_.run(stopped.run.name);
        const TrainerState state = stopped_run(stopped, folder, at);
        EXPECT_LE(state.step, at - 1);  // which was under way, unless the machine is so slow that it was being recorded
        EXPECT_GE(state.step, std::max<std::int64_t>(at - 2, 0));
        EXPECT_EQ(read_trainer_state(folder / "latest").step, state.step);
        EXPECT_EQ(metrics_column(folder, "train", 0).size(), static_cast<std::size_t>(state.step));
        ASSERT_EQ(train(stopped, true), 0);
        expect_same_files("whole", stopped.run.name);
    }
}

// ---- single steps -----------------------------------------------------------------------------------------------------------------------

// A model on the device, and steps for it.
struct Subject {
    explicit Subject(const Settings& asked) : settings(asked), data(prepare_data(asked, {})) {
        settings.model.vocab_size = data.tokenizer->vocab_size();
        model.emplace(settings.model, arithmetic_named(settings.run.precision));
        model->initialize(1);
        optimizer.emplace(settings.train.optimizer, model->parameters());
        model->move_to(device_of(settings.run));
        optimizer->move_to(model->device());
        steps.emplace(settings, *model, *optimizer);
    }
    void start(std::int64_t step) {
        std::vector<TokenBatch> batches(static_cast<std::size_t>(settings.train.gradient_accumulation));
        std::int64_t first = (step - 1) * settings.train.batch_size * settings.train.gradient_accumulation;
        for (TokenBatch& batch : batches) {
            data.train->training(first, settings.train.batch_size, batch);
            first += settings.train.batch_size;
        }
        steps->start(step, batches);
    }
    std::vector<float> parameters() const {
        const HostCopy here(model->parameters().values());
        return {here.tensor().as<float>(), here.tensor().as<float>() + here.tensor().count()};
    }
    std::string error_of_finish() {
        try {
            steps->finish();
        } catch (const NotFiniteStep& error) {
            return error.what();
        }
        return "no error";
    }

    Settings settings;
    PreparedData data;
    std::optional<MaskedLanguageModel> model;
    std::optional<Optimizer> optimizer;
    std::optional<TrainingStep> steps;
};

TEST_P(QueuedSteps, NoMoreThanTwoAreUnderWay) {
    Subject subject(settings("unused"));
    subject.start(1);
    subject.start(2);
    EXPECT_EQ(subject.steps->under_way(), 2);
    EXPECT_THROW(subject.start(3), std::logic_error);
    subject.steps->finish();
    subject.start(3);
    subject.steps->finish();
    subject.steps->finish();
    EXPECT_THROW(subject.steps->finish(), std::logic_error);
}

TEST_P(QueuedSteps, AskForNoMemoryAfterTheFirst) {
    Settings long_enough = settings("unused");
    long_enough.train.steps = 12;
    Subject subject(long_enough);
    subject.start(1);
    std::vector<std::size_t> growths;
    for (std::int64_t step = 2; step <= 12; ++step) {
        subject.start(step);
        growths.push_back(subject.steps->arena().growths());
        subject.steps->finish();
    }
    EXPECT_EQ(growths, std::vector<std::size_t>(11, growths.front()));
}

// The second step cannot be computed with what so large a learning rate makes of the parameters; the third is queued behind it.
TEST_P(QueuedSteps, AStepThatIsNotFiniteStopsThoseBehindItAndIsNamed) {
    Settings exploding = settings("unused");
    exploding.train.schedule.warmup = 0;
    for (const double rate : {1e30, 1e10}) {
        SCOPED_TRACE(rate);
        exploding.train.optimizer.learning_rate = rate;
        Subject queued(exploding), alone(exploding);
        queued.start(1);
        queued.start(2);
        EXPECT_TRUE(std::isfinite(queued.steps->finish().loss));
        queued.start(3);
        const std::string message = queued.error_of_finish();
        EXPECT_EQ(queued.steps->under_way(), 0);

        alone.start(1);
        alone.steps->finish();
        EXPECT_EQ(queued.parameters(), alone.parameters());
        setenv("LOCUS_GPU_WAIT", "1", 1);
        alone.start(2);
        EXPECT_EQ(message, alone.error_of_finish());
        unsetenv("LOCUS_GPU_WAIT");
        EXPECT_TRUE(contains(message, "step 2: the ")) << message;
        EXPECT_TRUE(contains(message, "first tensor that is not finite: ")) << message;
        EXPECT_FALSE(contains(message, "itself")) << message;
    }
}

// The loss is finite; AdamW is stopped by the norm alone, and the step can be run once more.
TEST_P(QueuedSteps, ANormThatIsNotFiniteStopsTheUpdate) {
    Subject subject(settings("unused"));
    subject.start(1);
    subject.steps->finish();
    const std::vector<float> before = subject.parameters();
    double infinite = std::numeric_limits<double>::infinity();
    copy(Tensor(&infinite, {1}, DType::float64), subject.optimizer->squares());
    subject.start(2);
    subject.start(3);
    const std::string message = subject.error_of_finish();
    EXPECT_TRUE(contains(message, "step 2: the gradient norm is inf")) << message;
    EXPECT_TRUE(contains(message, "the gradient norm itself")) << message;
    EXPECT_EQ(subject.parameters(), before);
    subject.start(2);
    EXPECT_TRUE(std::isfinite(subject.steps->finish().gradient_norm));
    EXPECT_NE(subject.parameters(), before);
}

TEST_P(QueuedSteps, AStepThatASignalGivesUpLeavesNoTrace) {
    Settings tiny = settings("unused");
    Subject disturbed(tiny), undisturbed(tiny);
    for (Subject* const subject : {&disturbed, &undisturbed}) {
        subject->start(1);
        if (subject == &disturbed) {
            const SignalGuard guard;
            std::raise(SIGTERM);
            EXPECT_THROW(subject->start(2), Interrupted);
            EXPECT_EQ(subject->steps->under_way(), 1);
            const SignalGuard forgets_it;
        }
    }
    for (Subject* const subject : {&disturbed, &undisturbed}) {
        subject->start(2);
        subject->steps->finish();
        subject->steps->finish();
    }
    EXPECT_EQ(disturbed.parameters(), undisturbed.parameters());
}

}  // namespace
}  // namespace locus
