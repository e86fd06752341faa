#pragma once
// What is odd about a prepared corpus: not wrong, but seldom meant.

#include <string>
#include <vector>

#include "data/masking.h"
#include "data/settings.h"
#include "data/token_shards.h"

namespace locus {

/// One sentence each, with figures and what to do: no blank line between documents, or one after every line; many repeated paragraphs; skipped or
/// replaced bytes; more than 0.1 % unknown tokens; whole words asked for where every token is a word.
std::vector<std::string> corpus_warnings(const TokenShards& shards, const Tokenizer& tokenizer,
                                         const DataSettings& settings);

}  // namespace locus
