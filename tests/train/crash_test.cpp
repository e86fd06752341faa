// Kills the program at random moments, also inside a save, and looks whether --resume ends where the undisturbed run ended.

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <random>
#include <thread>

#include "tests/train/run_program.h"
#include "tests/train/tiny_run.h"
#include "train/checkpoint.h"
#include "train/configuration.h"

namespace locus {
namespace {

namespace fs = std::filesystem;

class Crash : public ::testing::Test {
protected:
    // 80 steps with a checkpoint after every second one: much of the time is spent saving.
    fs::path write_configuration_file(const std::string& name, std::int64_t steps = 80) const {
        Settings settings = tiny_.settings(name);
        settings.train.steps = steps;
        settings.train.checkpoint_every = 2;
        settings.train.evaluate_every = 10;
        settings.train.keep_last = 2;
        settings.train.schedule.warmup = 5;
        const fs::path file = tiny_.folder() / (name + ".yaml");
        write_text(file, write_configuration(settings));
        return file;
    }
    static std::vector<std::string> arguments(const fs::path& file) { return {"train", file.string(), "--resume"}; }

    // Runs for a while, then sends the signal.
    static ProgramResult disturb(const fs::path& file, std::chrono::milliseconds after, int signal) {
        RunningProgram program(arguments(file), {});
        std::this_thread::sleep_for(after);
        kill(program.process(), signal);
        return program.wait();
    }
    // Waits until this run of the program has saved a checkpoint, so that the signal falls into training.
    ProgramResult disturb_in_training(const std::string& name, int signal) const {
        const fs::path latest = tiny_.run(name) / "latest";
        const auto target = [&] { return fs::is_symlink(latest) ? fs::read_symlink(latest) : fs::path(); };
        const fs::path before = target();
        RunningProgram program(arguments(tiny_.folder() / (name + ".yaml")), {});
        for (int n = 0; n < 2000 && target() == before; ++n) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        kill(program.process(), signal);
        return program.wait();
    }
    void expect_same_end(const std::string& a, const std::string& b) const {
        for (const char* file : {"latest/model.safetensors", "latest/optimizer.safetensors", "best/model.safetensors"})
            EXPECT_TRUE(read_text(tiny_.run(a) / file) == read_text(tiny_.run(b) / file)) << file;
        EXPECT_EQ(metrics_without_times(tiny_.run(a)), metrics_without_times(tiny_.run(b)));
    }

    TinyRun tiny_;
};

TEST_F(Crash, KilledAtFiftyRandomMomentsTheRunEndsAsTheUndisturbedOne) {
    const fs::path whole = write_configuration_file("whole");
    const auto begin = std::chrono::steady_clock::now();
    ASSERT_EQ(run_program(arguments(whole)).code, 0);
    const auto all =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin).count();

    std::mt19937 random(20240229);
    int killed = 0;
    int runs = 0;
    while (killed < 50) {
        const std::string name = "killed-" + std::to_string(++runs);
        const fs::path file = write_configuration_file(name);
        ProgramResult result{128 + SIGKILL, {}, {}};
        for (int n = 0; n < 10 && killed < 50 && result.code == 128 + SIGKILL; ++n) {
            const auto after = std::chrono::milliseconds(random() % static_cast<unsigned>(all + 1));
            result = disturb(file, after, SIGKILL);
            killed += result.code == 128 + SIGKILL ? 1 : 0;
        }
        if (result.code == 128 + SIGKILL) result = run_program(arguments(file));
        ASSERT_EQ(result.code, 0) << result.err;
        expect_same_end("whole", name);
        for (const auto& entry : fs::directory_iterator(tiny_.run(name) / "checkpoints"))
            EXPECT_EQ(entry.path().filename().string().rfind("step-", 0), 0U) << entry.path();
        ASSERT_LT(runs, 100);
    }
}

TEST_F(Crash, SigintAndSigtermSaveACheckpointAndTheRunGoesOnFromIt) {
    ASSERT_EQ(run_program(arguments(write_configuration_file("whole", 2000))).code, 0);
    write_configuration_file("stopped", 2000);
    ProgramResult result = disturb_in_training("stopped", SIGINT);
    EXPECT_EQ(result.code, 130) << result.err;
    const std::int64_t first = read_trainer_state(tiny_.run("stopped") / "latest").step;
    result = disturb_in_training("stopped", SIGTERM);
    EXPECT_EQ(result.code, 143) << result.err;
    EXPECT_GE(read_trainer_state(tiny_.run("stopped") / "latest").step, first);
    ASSERT_EQ(run_program(arguments(tiny_.folder() / "stopped.yaml")).code, 0);
    expect_same_end("whole", "stopped");
}

TEST_F(Crash, ASignalBeforeTheFirstStepHasItsExitCodeToo) {
    const fs::path file = write_configuration_file("early");
    const ProgramResult result = disturb(file, std::chrono::milliseconds(20), SIGTERM);
    EXPECT_TRUE(result.code == 143) << result.code << result.err;
    EXPECT_EQ(run_program(arguments(file)).code, 0);
}

}  // namespace
}  // namespace locus
