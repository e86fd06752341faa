#include "train/device_name.h"

#include <gtest/gtest.h>

#include "kernels/device.h"
#include "train/error.h"

namespace locus {
namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(DeviceName, Bfloat16NeedsAGpuThatHasIt) {
    const std::string card = "Tesla T4, 15 GiB, compute capability 7.5";
    const std::string reason = why_unfit(card, 75, DType::bfloat16);
    EXPECT_TRUE(contains(reason, card)) << reason;
    EXPECT_TRUE(contains(reason, "8.0")) << reason;
    EXPECT_TRUE(contains(reason, "run.precision: float32")) << reason;
    for (const int capability : {80, 86, 89, 90, 100, 120}) EXPECT_EQ(why_unfit("", capability, DType::bfloat16), "");
}

TEST(DeviceName, Tf32NeedsAGpuThatHasIt) {
    const Arithmetic tf32 = {DType::float32, Rounding::tf32};
    EXPECT_TRUE(contains(why_unfit("Tesla T4", 75, tf32), "Tesla T4: tf32 needs tensor cores for it"));
    for (const int capability : {80, 86, 89, 90, 100, 120}) EXPECT_EQ(why_unfit("", capability, tf32), "");
    EXPECT_THROW(device_named("cpu", tf32), ConfigurationError);
}

TEST(DeviceName, Float32RunsOnEveryGpuThatKernelsAreBuiltFor) {
    for (const int capability : {75, 80, 90, 120}) EXPECT_EQ(why_unfit("", capability, DType::float32), "");
    EXPECT_TRUE(contains(why_unfit("Tesla V100", 70, DType::float32), "Tesla V100: kernels are built for compute"));
}

TEST(DeviceName, TheStandInDoesAllButFloat64) {
    if (!is_available(Device::simt)) GTEST_SKIP() << why_unavailable(Device::simt);
    for (const DType arithmetic : {DType::float32, DType::bfloat16})
        EXPECT_EQ(device_named("simt", arithmetic), Device::simt);
    EXPECT_THROW(device_named("simt", DType::float64), ConfigurationError);
    EXPECT_EQ(device_named("cpu", DType::float64), Device::cpu);
}

}  // namespace
}  // namespace locus
