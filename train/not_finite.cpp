#include "train/not_finite.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/device.h"

namespace locus {
namespace {

template <class T>
bool all_finite_of(const T* values, std::int64_t count) {
    return std::all_of(values, values + count, [](T value) { return std::isfinite(value); });
}

// An exponent of ones is an infinity or a NaN.
bool all_finite_of(const bfloat16_t* values, std::int64_t count) {
    return std::all_of(values, values + count, [](bfloat16_t value) { return (value.bits & 0x7F80U) != 0x7F80U; });
}

}  // namespace

bool all_finite(const Tensor& tensor) {
    const HostCopy copy(tensor);
    const Tensor& here = copy.tensor();
    if (tensor.dtype == DType::float64) return all_finite_of(here.as<double>(), here.count());
    if (tensor.dtype == DType::bfloat16) return all_finite_of(here.as<bfloat16_t>(), here.count());
    return all_finite_of(here.as<float>(), here.count());
}

std::string first_bad_parameter(const Parameters& parameters) {
    for (const Parameter& parameter : parameters.all())
        if (!all_finite(parameter.value)) return "parameter " + parameter.name;
    return {};
}

std::string first_bad_gradient(const Parameters& parameters) {
    for (const Parameter& parameter : parameters.all())
        if (!all_finite(parameter.gradient)) return "gradient of " + parameter.name;
    return {};
}

std::string first_bad_activation(const MaskedLanguageModel& model, const ModelInput& input, const RunMode& mode,
                                 Arena& arena) {
    std::string found;
    Tape tape(arena);
    tape.set_recording(false);
    model.encode(tape, input, mode, [&](std::int64_t layer, const Tensor& hidden) {
        if (!found.empty() || all_finite(hidden)) return;
        found = layer == 0 ? "output of the embeddings"
                           : fmt::format("output of layer {} of {}", layer, model.settings().layers);
    });
    return found;
}

}  // namespace locus
