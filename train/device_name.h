#pragma once
// run.device and --device: from a name to a device.

#include <string>
#include <vector>

#include "kernels/tensor.h"

namespace locus {

/// "auto", "cpu", "cuda", "simt" (the kernels for a GPU, run on the processor).
const std::vector<std::string>& device_names();

/// The device that `name` means for a model in `arithmetic`; auto is a GPU where there is one that this program was built for, and the processor for
/// float64. Throws ConfigurationError with the reason when it cannot be had.
Device device_named(const std::string& name, DType arithmetic);

/// Why a GPU of this compute capability (75 for 7.5) does not do `arithmetic`, and what helps; empty when it does. `card`: its description, for the message.
std::string why_unfit(const std::string& card, int compute_capability, DType arithmetic);

}  // namespace locus
