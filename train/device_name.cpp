#include "train/device_name.h"

#include <fmt/format.h>

#include "kernels/device.h"
#include "train/error.h"

namespace locus {

const std::vector<std::string>& device_names() {
    static const std::vector<std::string> names = {"auto", "cpu", "cuda", "simt"};
    return names;
}

namespace {

Device fit(Device device, DType arithmetic) {
    const std::string reason = why_unfit(description_of(device), compute_capability_of(device), arithmetic);
    if (!reason.empty()) throw ConfigurationError(fmt::format("device {}: {}", name_of(device), reason));
    return device;
}

}  // namespace

std::string why_unfit(const std::string& card, int compute_capability, DType arithmetic) {
    constexpr int first = 75, first_with_bfloat16 = 80;
    if (compute_capability < first)
        return fmt::format("{}: kernels are built for compute capability 7.5 and later; take cpu", card);
    if (arithmetic == DType::bfloat16 && compute_capability < first_with_bfloat16)
        return fmt::format(
            "{}: bfloat16 needs tensor cores for it, compute capability 8.0 or later; take run.precision: float32, "
            "or cpu",
            card);
    return "";
}

Device device_named(const std::string& name, DType arithmetic) {
    if (name == "cpu") return Device::cpu;
    const bool fits = arithmetic != DType::float64;
    if (name == "auto") return fits && is_available(Device::cuda) ? fit(Device::cuda, arithmetic) : Device::cpu;
    const Device device = name == "cuda" ? Device::cuda : Device::simt;
    if (!fits)
        throw ConfigurationError(fmt::format("device {}: float64 is for tests on the processor; take cpu", name));
    const std::string reason = why_unavailable(device);
    if (!reason.empty()) throw ConfigurationError(fmt::format("device {}: {}; or take cpu or auto", name, reason));
    return fit(device, arithmetic);
}

}  // namespace locus
