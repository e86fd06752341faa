#pragma once
// run.device and --device: from a name to a device.

#include <string>
#include <vector>

#include "model/arithmetic.h"

namespace locus {

/// "auto", "cpu", "cuda", "simt" (the kernels for a GPU, run on the processor).
const std::vector<std::string>& device_names();

/// The device that `name` means for a model in `arithmetic`; auto is a GPU where there is one that this program was built for, and the processor for
/// float64. Throws ConfigurationError with the reason when it cannot be had, or does not have this arithmetic.
Device device_named(const std::string& name, Arithmetic arithmetic);

/// Why a GPU of this compute capability (75 for 7.5) does not do `arithmetic`, and what helps; empty when it does. `card`: its description, for the message.
std::string why_unfit(const std::string& card, int compute_capability, Arithmetic arithmetic);

}  // namespace locus
