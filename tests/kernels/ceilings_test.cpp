#include "kernels/ceilings.h"

#include "tests/kernels/testing.h"

namespace locus::test {
namespace {

TEST(CeilingsDevice, AreMeasuredOnEveryDevice) {
    std::vector<Device> devices = gpus();
    devices.push_back(Device::cpu);
    for (const Device device : devices) {
        const Ceilings how = {.device = device, .seconds = 0.002, .copy_bytes = std::int64_t{8} << 20};
        EXPECT_GT(arithmetic_ceiling(how), 0) << name_of(device);
        EXPECT_GT(copy_ceiling(how), 0) << name_of(device);
    }
}

}  // namespace
}  // namespace locus::test
