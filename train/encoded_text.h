#pragma once
// A text from the command line as a batch of one sequence.

#include <string>

#include "data/batches.h"
#include "data/tokenizer.h"
#include "train/model_folder.h"

namespace locus {

/// The text as the model was trained to see one: within [CLS] and [SEP] if `cls_sep`. Special tokens may be written in it; masked_rows are its [MASK]
/// tokens, with themselves as targets.
TokenBatch encode_text(const std::string& text, const Tokenizer& tokenizer, bool cls_sep);

/// Whether the run that a model comes from put its sequences within [CLS] and [SEP]; true for a model from elsewhere.
bool uses_cls_sep(const LoadedModel& loaded);

}  // namespace locus
