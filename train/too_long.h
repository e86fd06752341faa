#pragma once

#include <cstdint>
#include <string>

#include "model/masked_language_model.h"

namespace locus {

/// True when the model's encodings do not reach that far.
bool is_too_long(const MaskedLanguageModel& model, std::int64_t length);

/// What to say then: the length, the limit, and the ways out. `what` begins the sentence: "--lengths 1024".
std::string explain_too_long(const MaskedLanguageModel& model, const std::string& what);

}  // namespace locus
