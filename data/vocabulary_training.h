#pragma once
// From counts to a vocabulary. The alphabet is the commonest characters that together cover `character_coverage` of
// the text; a word with another character in it is [UNK] as a whole, so the pieces are learnt from the other words.

#include "data/character_counts.h"
#include "data/tokenizer_training.h"
#include "data/word_counts.h"

namespace locus {

/// Ids: special tokens, the alphabet, the alphabet after "##" (characters that continue a word of the text), then
/// pieces, commonest first. Throws DataError for a text without words, and when specials and alphabet exceed
/// vocab_size.
TrainedTokenizer train_wordpiece(WordCounts counts, const TokenizerSettings& settings,
                                 const ProgressReport& progress = {});

/// Ids: special tokens, then the alphabet, commonest first. A line end is never part of it. Throws DataError as above.
TrainedTokenizer train_characters(const CharacterCounts& counts, const TokenizerSettings& settings);

}  // namespace locus
