// Whole runs with run.device: simt, the kernels for a GPU on the processor; and with cuda where there is a GPU.
#include "kernels/device.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/gpus.h"
#include "tests/train/tiny_run.h"
#include "train/checkpoint.h"
#include "train/not_finite.h"
#include "train/plan.h"
#include "train/trainer.h"

namespace locus {
namespace {

namespace fs = std::filesystem;

class TrainOn : public ::testing::TestWithParam<std::string> {
protected:
    void SetUp() override {
        const Device device = GetParam() == "cuda" ? Device::cuda : Device::simt;
        if (!test::is_tested(device)) GTEST_SKIP() << why_unavailable(device);
    }

    // Six steps of one small layer: the stand-in takes its time.
    Settings settings(const std::string& device) const {
        Settings settings = tiny_.settings(device);
        settings.run.device = device;
        settings.train.steps = 6;
        settings.train.evaluate_every = 3;
        settings.train.evaluate_samples = 4;
        settings.train.batch_size = 2;
        settings.data.sequence_length = 16;
        settings.model.position = {default_position("disentangled")};
        return settings;
    }

    void expect_same_bits(const std::string& a, const std::string& b) const {
        for (const char* const file : {"model.safetensors", "optimizer.safetensors"})
            EXPECT_TRUE(read_text(tiny_.run(a) / "latest" / file) == read_text(tiny_.run(b) / "latest" / file)) << file;
        EXPECT_EQ(metrics_without_times(tiny_.run(a)), metrics_without_times(tiny_.run(b)));
    }

    TinyRun tiny_;
};

INSTANTIATE_TEST_SUITE_P(Gpu, TrainOn, ::testing::Values("simt", "cuda"), [](const auto& info) { return info.param; });

TEST_P(TrainOn, LossesAreTheProcessors) {
    ASSERT_EQ(train(settings("cpu"), false), 0);
    ASSERT_EQ(train(settings(GetParam()), false), 0);
    for (const char* const split : {"train", "valid"}) {
        const std::vector<double> expected = metrics_column(tiny_.run("cpu"), split, 4),
                                  got = metrics_column(tiny_.run(GetParam()), split, 4);
        ASSERT_EQ(got.size(), expected.size());
        ASSERT_FALSE(got.empty());
        for (std::size_t n = 0; n < got.size(); ++n) EXPECT_NEAR(got[n], expected[n], 1e-4) << split << " " << n;
    }
}

TEST_P(TrainOn, Bfloat16LearnsLikeFloat32) {
    ASSERT_EQ(train(settings("cpu"), false), 0);
    Settings rounded = settings(GetParam());
    rounded.run.precision = "bfloat16";
    ASSERT_EQ(train(rounded, false), 0);
    for (const char* const split : {"train", "valid"}) {
        const std::vector<double> expected = metrics_column(tiny_.run("cpu"), split, 4),
                                  got = metrics_column(tiny_.run(GetParam()), split, 4);
        ASSERT_EQ(got.size(), expected.size());
        ASSERT_FALSE(got.empty());
        for (std::size_t n = 0; n < got.size(); ++n) EXPECT_NEAR(got[n], expected[n], 0.05) << split << " " << n;
    }
}

TEST_P(TrainOn, Tf32LearnsLikeFloat32) {
    ASSERT_EQ(train(settings(GetParam()), false), 0);
    Settings rounded = settings(GetParam());
    rounded.run.name = "tf32";
    rounded.run.precision = "tf32";
    EXPECT_EQ(describe_precision(rounded.run), "float32 with TF32 products");
    ASSERT_EQ(train(rounded, false), 0);
    for (const char* const split : {"train", "valid"}) {
        const std::vector<double> expected = metrics_column(tiny_.run(GetParam()), split, 4),
                                  got = metrics_column(tiny_.run("tf32"), split, 4);
        ASSERT_EQ(got.size(), expected.size());
        ASSERT_FALSE(got.empty());
        EXPECT_NE(got, expected);
        for (std::size_t n = 0; n < got.size(); ++n) EXPECT_NEAR(got[n], expected[n], 5e-3) << split << " " << n;
    }
}

TEST(NotFinite, IsSeenInBfloat16) {
    std::array<bfloat16_t, 2> numbers = {bfloat16_t{0x7F7F}, bfloat16_t{0xFF7F}};  // the largest, and its negative
    const Tensor tensor(numbers.data(), {2}, DType::bfloat16);
    EXPECT_TRUE(all_finite(tensor));
    for (const std::uint16_t bits : {0x7F80, 0xFF80, 0x7FC0}) {
        numbers[1] = {bits};
        EXPECT_FALSE(all_finite(tensor)) << bits;
    }
}

TEST_P(TrainOn, ResumingGivesTheBitsOfTheUninterruptedRun) {
    Settings whole = settings(GetParam());
    ASSERT_EQ(train(whole, false), 0);
    Settings resumed = whole;
    resumed.run.name = "resumed";
    fs::copy(tiny_.run(GetParam()), tiny_.run("resumed"),
             fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    for (std::int64_t step = 4; step <= 6; ++step) fs::remove_all(checkpoint_folder(tiny_.run("resumed"), step));
    ASSERT_EQ(train(resumed, true), 0);
    expect_same_bits(GetParam(), "resumed");
}

TEST_P(TrainOn, ACheckpointGoesOnOnTheProcessor) {
    ASSERT_EQ(train(settings("cpu"), false), 0);
    ASSERT_EQ(train(settings(GetParam()), false), 0);
    for (std::int64_t step = 4; step <= 6; ++step) fs::remove_all(checkpoint_folder(tiny_.run(GetParam()), step));
    Settings moved = settings("cpu");
    moved.run.name = GetParam();
    ASSERT_EQ(train(moved, true), 0);
    const std::vector<double> expected = metrics_column(tiny_.run("cpu"), "train", 4),
                              got = metrics_column(tiny_.run(GetParam()), "train", 4);
    ASSERT_EQ(got.size(), expected.size());
    for (std::size_t n = 0; n < got.size(); ++n) EXPECT_NEAR(got[n], expected[n], 1e-4) << n;
}

// What the log and bench say about a GPU.
TEST_P(TrainOn, TheChoiceOfAttentionIsDescribed) {
    const Device device = GetParam() == "cuda" ? Device::cuda : Device::simt;
    RunSettings run;
    run.device = GetParam();
    ModelSettings model;
    model.hidden = 128;
    model.heads = 2;
    const auto choice = [&] { return describe_device(run, model).substr(description_of(device).size()); };
    EXPECT_EQ(choice(), "; attention by plain kernels (float32, heads of 64): tensor cores are used for bfloat16 only");
    run.precision = "bfloat16";
    EXPECT_EQ(choice(), "; attention on tensor cores (bfloat16, heads of 64)");
    model.heads = 4;
    model.hidden = 48 * model.heads;
    EXPECT_NE(choice().find("plain kernels"), std::string::npos);
}

TEST(DeviceDescription, TheProcessorSaysWhyItIsNoGpu) {
    const std::string said = describe_device(RunSettings(), ModelSettings());
    const std::string reason = why_unavailable(Device::cuda);
    EXPECT_EQ(said, reason.empty() ? "cpu; run.device=cuda would be " + description_of(Device::cuda)
                                   : "cpu; no GPU: " + reason);
}

}  // namespace
}  // namespace locus
