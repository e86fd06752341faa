#pragma once
// Which tensor first holds a NaN or an infinity: the difference between "loss is nan" and knowing where to look.

#include <string>

#include "model/masked_language_model.h"

namespace locus {

/// True when every element is finite.
bool all_finite(const Tensor& tensor);

/// "parameter bert.encoder.layer.0.output.dense.weight", in the order of the model; empty: all are finite.
std::string first_bad_parameter(const Parameters& parameters);
std::string first_bad_gradient(const Parameters& parameters);
/// "embeddings" or "output of layer 3 of 12", found by running the model again; empty: all are finite.
std::string first_bad_activation(const MaskedLanguageModel& model, const ModelInput& input, const RunMode& mode,
                                 Arena& arena);

}  // namespace locus
