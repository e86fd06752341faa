#pragma once
// Word pieces from word counts, by the commonest pair.
//
//   start     each word as characters, "##" before all but the first
//   repeat    join the pair of neighbours that occurs most often into one piece, everywhere, until the vocabulary is
//             full
//   ties      the pair whose left piece has the lower id, then whose right piece has; ids do not depend on the number
//             of threads
//
// What is learnt is a set of pieces; encoding then takes the longest piece that fits, and knows nothing of the order
// of merges.
// cost      proportional to the characters of the distinct words times a small number (a word is visited when a pair
//           in it is joined)
// memory    the distinct words as ids (4 bytes per character) and, per pair, the words it is in
// source    Sennrich et al. 2016, arXiv:1508.07909, with BERT's "##"; as Hugging Face's WordPieceTrainer does it

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/throttled_progress.h"
#include "data/word_counts.h"

namespace locus {

/// `pieces` begins with the special tokens and the alphabet ("c" and "##c"), of which all `words` must consist, and
/// is filled up to `vocab_size` entries; fewer when each word is one piece already.
void learn_pieces(std::span<const WordCount> words, std::int64_t vocab_size, std::vector<std::string>& pieces,
                  ThrottledProgress& progress);

}  // namespace locus
