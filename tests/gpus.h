#pragma once
// Which devices tests go over besides the processor.

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/device.h"

namespace locus::test {

/// Whether tests use it here: simt always, cuda where there is a GPU. LOCUS_TEST_DEVICE names the only one, as scripts/gpu_check.sh does, which has little
/// time; it throws where that cannot be used: such tests would pass without having tried anything.
inline bool is_tested(Device device) {
    const char* const only = std::getenv("LOCUS_TEST_DEVICE");
    if (only != nullptr && std::string_view(only) != name_of(device)) return false;
    const std::string reason = why_unavailable(device);
    if (only != nullptr && !reason.empty())
        throw std::runtime_error(std::string("LOCUS_TEST_DEVICE=") + only + ": " + reason);
    return reason.empty();
}

inline std::vector<Device> gpus() {
    std::vector<Device> tested;
    for (const Device device : {Device::simt, Device::cuda})
        if (is_tested(device)) tested.push_back(device);
    return tested;
}

inline std::vector<Device> cpu_and_gpus() {
    std::vector<Device> tested = gpus();
    tested.insert(tested.begin(), Device::cpu);
    return tested;
}

}  // namespace locus::test
