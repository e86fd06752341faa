#include "train/device_name.h"

#include <fmt/format.h>

#include "kernels/device.h"
#include "train/error.h"

namespace locus {

const std::vector<std::string>& device_names() {
    static const std::vector<std::string> names = {"auto", "cpu", "cuda", "simt"};
    return names;
}

Device device_named(const std::string& name, DType arithmetic) {
    if (name == "cpu") return Device::cpu;
    const bool fits = arithmetic != DType::float64;
    if (name == "auto") return fits && is_available(Device::cuda) ? Device::cuda : Device::cpu;
    const Device device = name == "cuda" ? Device::cuda : Device::simt;
    if (!fits)
        throw ConfigurationError(fmt::format("device {}: float64 is for tests on the processor; take cpu", name));
    const std::string reason = why_unavailable(device);
    if (!reason.empty()) throw ConfigurationError(fmt::format("device {}: {}; or take cpu or auto", name, reason));
    return device;
}

}  // namespace locus
