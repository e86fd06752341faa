#pragma once
// One token per Unicode character, spaces included; a character outside the vocabulary is [UNK]. The text is
// lower-cased and its accents stripped first where the settings say so, nothing else is done to it.

#include <memory>

#include "data/tokenizer.h"
#include "data/tokenizer_files.h"

namespace locus {

/// Throws DataError for a token, other than the special ones, that is not one character.
std::unique_ptr<Tokenizer> make_character_tokenizer(TokenizerDescription description);

}  // namespace locus
