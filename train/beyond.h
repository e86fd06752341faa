#pragma once
// The option `beyond` of position encodings that have a table (absolute, hybrid, relative_key): what stands past its end. For evaluating one model
// under several policies.

#include <memory>
#include <string>
#include <vector>

#include "model/masked_language_model.h"

namespace locus {

/// The policies that at least one encoding of the model knows, in the order of the first that knows each; none: no encoding has the option.
std::vector<std::string> beyond_policies(const ModelSettings& settings);

/// The settings under another policy: for each encoding that knows it; the others keep theirs.
ModelSettings with_beyond(ModelSettings settings, const std::string& policy);

/// The policy of the first encoding that has the option; empty: none has.
std::string beyond_of(const ModelSettings& settings);

/// The longest sequence that a model of these settings takes; 0: any.
std::int64_t longest_sequence(const ModelSettings& settings);

/// Whether sequences of `length` tokens need a policy: they are longer than a table that has one.
bool reaches_beyond(const ModelSettings& settings, std::int64_t length);

/// The same weights under settings that declare the same parameters. Throws std::logic_error when they do not.
std::unique_ptr<MaskedLanguageModel> copy_with(const MaskedLanguageModel& model, const ModelSettings& settings);

}  // namespace locus
