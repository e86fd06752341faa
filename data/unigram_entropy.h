#pragma once
// H = - sum_v f_v ln f_v, f_v the share of token v in a text: the loss, in nats, of a model that knows how frequent each token is and
// nothing else. Training passes it early, and stays near it as long as the context goes unused.

#include "data/token_shards.h"

namespace locus {

/// Of the first 50 million tokens; 0 for an empty text.
double unigram_entropy(const TokenShards& shards);

}  // namespace locus
