#pragma once
// Four tokens, one layer, weights that can be read: a model to follow a position encoding's numbers by hand in (toy_explanation.h).
//
// It is a MaskedLanguageModel like any other, with its numbers set: W_q, W_k and W_v are identity matrices; the word vectors consist of 1 and -1 and pass
// the layer norm as they are; of the encoding's own parameters, square matrices are the identity, norms leave as it is what they get, and all
// others run through multiples of 0.1 from -0.5 to 0.5. Its layer is run by the same code as any other, in float64.

#include <string>
#include <vector>

#include "train/head_explanation.h"

namespace locus {

/// Rows of numbers: by token, and then by channel or by key.
using Matrix = std::vector<std::vector<double>>;

/// What a term of the score looks its numbers up in. Empty where it looks nothing up.
struct ToyLookup {
    Matrix by_distance;                   // the vector, or for a bias the number, of each of ToyResult::distances
    Matrix query_channels, key_channels;  // of each token
};

/// The example's numbers; of the attention, those of head 0.
struct ToyResult {
    Matrix words, placed;  // [4][hidden]: word vectors, and what the encodings made of them, before the layer norm
    Matrix unrotated, queries, keys, values;  // [4][head_dim]; queries and keys are the same before a rotation
    std::vector<std::int64_t> distances;      // from the smallest i - j to the largest
    HeadExplanation head;
    std::vector<ToyLookup> lookups;  // of each of head.summands
    Matrix values_by_distance;       // what V holds for each of `distances`; empty without a value table
    Matrix out;                      // [4][head_dim], as the attention kernel computed it
};

/// The example's tokens.
const std::vector<std::string>& toy_tokens();

/// One layer, hidden 8, 4 heads, and the encoding with tables of at most 8 rows a side. One that only gives the tokens other positions stands behind
/// `absolute`. Throws ModelError for an unknown name.
ModelSettings toy_settings(const std::string& encoding);

/// Runs the example. `training`: as a training step would be, which matters to encodings that draw positions.
ToyResult compute_toy(const ModelSettings& settings, bool training);

/// Names and shapes of the parameters that the encodings have, in one line each: "encoder.relative_attention_bias.weight [8, 4]".
std::vector<std::string> toy_position_parameters(const ModelSettings& settings);

}  // namespace locus
