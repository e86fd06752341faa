// What happens when the disk is full: a run in a file system of its own (a small tmpfs in a mount namespace) where that is allowed, else under
// a limit on the size of files.

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>

#include "tests/train/run_program.h"
#include "tests/train/tiny_run.h"
#include "train/checkpoint.h"
#include "train/configuration.h"
#include "train/error.h"
#include "train/run_folder.h"

namespace locus {
namespace {

namespace fs = std::filesystem;

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

int run_training(const TinyRun& tiny, const Settings& settings) {
    write_text(tiny.folder() / "run.yaml", write_configuration(settings));
    const ProgramResult result = run_program({"train", (tiny.folder() / "run.yaml").string(), "--resume"});
    std::fprintf(stderr, "%s", result.err.c_str());
    return result.code;
}

// Runs `body` in a child process, so that mounts and limits end with it. (OpenMP does not survive a fork, so the child trains by starting the
// program.)
int in_child(const std::function<int()>& body) {
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) _exit(body());
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

constexpr int not_allowed = 99;

bool mount_small_disk(const fs::path& where, const char* size) {
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
    const std::string options = std::string("size=") + size;
    return mount("tmpfs", where.c_str(), "tmpfs", 0, options.c_str()) == 0;
}

void fill_disk(const fs::path& file, std::int64_t leave) {
    std::FILE* out = std::fopen(file.c_str(), "wb");
    const std::string block(4096, 'x');
    while (static_cast<std::int64_t>(fs::space(file.parent_path()).available) > leave &&
           std::fwrite(block.data(), 1, block.size(), out) == block.size())
        std::fflush(out);
    std::fclose(out);
}

// Bytes that a checkpoint of the tiny run takes.
std::int64_t checkpoint_size(const TinyRun& tiny) {
    Settings settings = tiny.settings("probe");
    settings.train.steps = 1;
    settings.train.schedule.warmup = 0;
    if (run_training(tiny, settings) != 0) throw std::runtime_error("the probe failed");
    std::int64_t bytes = 0;
    for (const auto& entry : fs::directory_iterator(tiny.run("probe") / "latest/"))
        bytes += (static_cast<std::int64_t>(entry.file_size()) + 4095) / 4096 * 4096;
    return bytes;
}

TEST(DiskFull, RefusedBeforeTheFirstStepWithTheBytesNeeded) {
    const TinyRun tiny;
    try {
        check_free_space(tiny.run("tiny"), std::int64_t{1} << 60, 2);
        FAIL();
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code().value(), ENOSPC);
        EXPECT_TRUE(contains(error.what(), "2305843009213693952")) << error.what();
        EXPECT_TRUE(contains(error.what(), "are free")) << error.what();
    }
    EXPECT_NO_THROW(check_free_space(tiny.run("tiny"), 1, 2));
}

TEST(DiskFull, OlderCheckpointsStayAndTrainingStopsAfterThreeFailures) {
    const TinyRun tiny;
    const std::int64_t size = checkpoint_size(tiny);
    const fs::path disk = tiny.folder() / "disk";
    fs::create_directory(disk);
    const int code = in_child([&] {
        if (!mount_small_disk(disk, "8m")) return not_allowed;
        Settings settings = tiny.settings();
        settings.run.directory = disk.string();
        settings.train.steps = 40;
        settings.train.evaluate_every = 0;
        settings.train.checkpoint_every = 2;
        settings.train.keep_last = 0;  // every checkpoint stays, so the disk fills
        fill_disk(disk / "filler", 3 * size + size / 2);
        if (run_training(tiny, settings) != exit_disk) return 1;
        const fs::path run = disk / "tiny";
        const fs::path last = newest_valid_checkpoint(run, [](const std::string&) {});
        if (last.empty() || fs::canonical(run / "latest") != fs::canonical(last)) return 2;
        const std::int64_t step = read_trainer_state(last).step;
        if (step < 4 || step > 8) return 3;
        for (const auto& entry : fs::directory_iterator(run / "checkpoints"))
            if (entry.path().filename().string().rfind("step-", 0) != 0) return 4;  // a half-written one
        fs::remove(disk / "filler");
        if (run_training(tiny, settings) != 0) return 5;
        return metrics_column(run, "train", 0).size() == 40 ? 0 : 6;
    });
    if (code == not_allowed) GTEST_SKIP() << "may not mount a file system here";
    EXPECT_EQ(code, 0);
}

TEST(DiskFull, ASaveThatFailsAtTheEndIsExitCodeSix) {
    const TinyRun tiny;
    checkpoint_size(tiny);  // prepares the data
    const int code = in_child([&] {
        Settings settings = tiny.settings();
        settings.train.evaluate_every = 0;
        settings.train.checkpoint_every = 0;
        rlimit small = {};
        getrlimit(RLIMIT_FSIZE, &small);
        small.rlim_cur = 8000;  // below the size of the weights
        setrlimit(RLIMIT_FSIZE, &small);
        return run_training(tiny, settings);
    });
    EXPECT_EQ(code, exit_disk);
    EXPECT_FALSE(fs::exists(tiny.run("tiny") / "latest"));
    EXPECT_TRUE(fs::is_empty(tiny.run("tiny") / "checkpoints"));
}

}  // namespace
}  // namespace locus
