#pragma once
// What a position encoding does to the numbers, step by step, on four tokens (`locus explain --toy`).

#include <string>

namespace locus {

/// The worked example of an encoding as text, every number computed by the model of toy_model.h; empty: t5_bias. Throws ConfigurationError, with the nearest
/// name, when there is no such encoding.
std::string explain_toy(const std::string& encoding);

}  // namespace locus
