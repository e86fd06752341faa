#pragma once
// The attention of one query of one head, taken apart: which term gave each key how much of its score, and what became of it.
//
//   t_1(i,j) + t_2(i,j) + ... = sum(i,j)          the terms of attention.h, those in its brackets already multiplied by scale
//   score(i,j)                = f_s sum(i,j)      minus infinity outside the window
//   weight(i,j)               = exp(score(i,j) - log_sum_exp(i))
//   out_i                     = sum_j weight(i,j) value_j  +  sum_j weight(i,j) V[row_V(r)]
//
// Plain loops in float64, whatever the tensors' type: for reading, not for speed. The same numbers as attention_forward() up to rounding.
//
// cost     2 head_dim flop per key and term; memory O(keys)

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/attention.h"

namespace locus {

/// The terms that a score can have, in the order in which attention.h has them.
enum class ScorePart : std::uint8_t {
    content,              // scale q_i . k_j
    content_bias,         // scale u . k_j
    channels,             // scale a_i . b_j
    content_to_position,  // scale q_i . K[row_K(r)]
    position_bias,        // scale v . K[row_K(r)]
    position_to_content,  // scale k_j . Q[row_Q(r)]
    bias,                 // bias[r]
};

/// A term of the score, for each key of the query's sequence.
struct ScoreSummand {
    ScorePart part = ScorePart::content;
    std::size_t number = 0;  // which list of channels, or which bias; else 0
    std::vector<double> values;
};

/// Vectors by key run over the keys of the query's sequence, in their order.
struct QueryDecomposition {
    std::vector<std::int64_t> distances;  // r = p_i - p_j; all 0 when the attention looks at no positions
    std::vector<ScoreSummand> summands;   // those that the attention has; the content is the first
    std::vector<double> sum;              // of the summands
    double sequence_scale = 1;            // f
    std::vector<double> score, weights;
    double log_sum_exp = 0;
    std::vector<double> from_values,
        from_table;             // [head_dim], which add up to out; from_table empty without a value table
    std::vector<double> added;  // Euclidean norm of what each key added to out
};

/// Takes query `row` (of all query rows) of `head` apart. float32 or float64, without dropout; `out` and `log_sum_exp` are not read. Throws
/// std::logic_error for a row or head that is not there, and as attention_forward().
QueryDecomposition decompose_score(const AttentionForward& args, std::int64_t row, std::int64_t head);

}  // namespace locus
