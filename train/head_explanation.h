#pragma once
// One attention head on one text, taken apart for people to read: the numbers behind `locus explain`, and a name for each.

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/score_decomposition.h"
#include "model/forward_visitor.h"
#include "model/masked_language_model.h"

namespace locus {

struct HeadExplanation {
    std::int64_t layer = 0, head = 0, head_dim = 0;
    std::int64_t decoder_pass = -1;  // of an enhanced mask decoder, from 0; -1: the layer is one of the encoder's
    double scale = 1;
    std::vector<std::int32_t> positions;      // of the keys
    std::int64_t window = 0;                  // 0: all keys
    std::vector<std::string> summands;        // names, as below
    std::vector<QueryDecomposition> queries;  // by row of the text
    // The content term, by query and key, as it would be without the encodings' rotation; empty where none rotates.
    std::vector<std::vector<double>> unrotated_content;
};

/// "content", "u", "c2p", "v", "p2c", "tupe channels", "t5_bias bias", "tupe channels 2": what a term is called in tables and files. Biases and channels
/// bear the name of the encoding that brought them.
std::vector<std::string> summand_names(const std::vector<ScoreSummand>& summands, const ComputedAttention& computed,
                                       const ModelSettings& settings);

/// What such a term is, as a formula and a few words.
std::string meaning_of(ScorePart part);

/// Takes a head of an attention apart that has just been computed and lies in the processor's memory, for each of its queries.
HeadExplanation explain_computed(const ComputedAttention& computed, std::int64_t head, const ModelSettings& settings);

/// Runs the model, where it is, on `input`, one sequence, and takes one head of one layer apart; both count from 0. With an enhanced mask decoder the last layer is the
/// decoder: all rows ask, and its last pass is shown, which the prediction is made from. Throws ConfigurationError for a layer or head that the model
/// does not have, NotFiniteError when its numbers are not finite.
HeadExplanation explain_head(const MaskedLanguageModel& model, const ModelInput& input, std::int64_t layer,
                             std::int64_t head);

/// layer,head,term,query,key,query_token,key_token,value: a row for each term, query and key. After the summands come content_unrotated (where an
/// encoding rotates), sum, score (sum times the log n factor; -inf outside the window), weight, and added: the length of what the key adds to the output.
std::string explanation_csv(const HeadExplanation& explanation, const std::vector<std::string>& tokens);

}  // namespace locus
