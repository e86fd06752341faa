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

Device fit(Device device, Arithmetic arithmetic) {
    const std::string reason = why_unfit(description_of(device), compute_capability_of(device), arithmetic);
    if (!reason.empty()) throw ConfigurationError(fmt::format("device {}: {}", name_of(device), reason));
    return device;
}

Device on_processor(Arithmetic arithmetic) {
    if (arithmetic.products != Rounding::tf32) return Device::cpu;
    throw ConfigurationError(
        "device cpu: tf32 products exist on a GPU only, from compute capability 8.0 on; take precision float32 or "
        "bfloat16, or device cuda");
}

}  // namespace

std::string why_unfit(const std::string& card, int compute_capability, Arithmetic arithmetic) {
    constexpr int first = 75, first_that_rounds = 80;
    if (compute_capability < first)
        return fmt::format("{}: kernels are built for compute capability 7.5 and later; take cpu", card);
    if (arithmetic.products != Rounding::none && compute_capability < first_that_rounds)
        return fmt::format(
            "{}: {} needs tensor cores for it, compute capability 8.0 or later; take run.precision: float32, or cpu",
            card, arithmetic.products == Rounding::tf32 ? "tf32" : "bfloat16");
    return "";
}

Device device_named(const std::string& name, Arithmetic arithmetic) {
    const bool fits = arithmetic.storage != DType::float64;
    if (name == "auto" && fits && is_available(Device::cuda)) return fit(Device::cuda, arithmetic);
    if (name == "auto" || name == "cpu") return on_processor(arithmetic);
    const Device device = name == "cuda" ? Device::cuda : Device::simt;
    if (!fits)
        throw ConfigurationError(fmt::format("device {}: float64 is for tests on the processor; take cpu", name));
    const std::string reason = why_unavailable(device);
    if (!reason.empty()) throw ConfigurationError(fmt::format("device {}: {}; or take cpu or auto", name, reason));
    return fit(device, arithmetic);
}

}  // namespace locus
