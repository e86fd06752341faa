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

Device on_processor(Arithmetic arithmetic) {
    if (arithmetic.products != Rounding::tf32) return Device::cpu;
    throw ConfigurationError(
        "device cpu: tf32 products exist on a GPU only, from compute capability 8.0 on; take precision float32 or "
        "bfloat16, or device cuda");
}

}  // namespace

Device device_named(const std::string& name, Arithmetic arithmetic) {
    const bool fits = arithmetic.storage != DType::float64;
    if (name == "auto" && fits && is_available(Device::cuda)) return Device::cuda;
    if (name == "auto" || name == "cpu") return on_processor(arithmetic);
    const Device device = name == "cuda" ? Device::cuda : Device::simt;
    if (!fits)
        throw ConfigurationError(fmt::format("device {}: float64 is for tests on the processor; take cpu", name));
    const std::string reason = why_unavailable(device);
    if (!reason.empty()) throw ConfigurationError(fmt::format("device {}: {}; or take cpu or auto", name, reason));
    return device;
}

}  // namespace locus
