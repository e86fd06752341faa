#pragma once
// A post-LN transformer block (Vaswani et al. 2017, arXiv:1706.03762), as BERT and DeBERTa have it:
//
//   c = attention(q = query Wq^T + bq,  k = source Wk^T + bk,  v = source Wv^T + bv)        the score: kernels/attention.h
//   a = LN(drop(c Wo^T + bo) + query)
//   y = LN(drop(gelu(a Wi^T + bi) Wf^T + bf) + a)
//
// model.attention.window r: only keys with |p_i - p_j| <= r are seen. model.attention.logn: the whole score of a sequence of n tokens is multiplied by
//
//   f = log n / log L,   L = train_length        1 at n = L; n = 1 counts as 2: one key has all the weight, whatever its score
//
// so that the softmax over more keys than in training stays about as sharp as it was there. Su Jianlin, kexue.fm/archives/8823 (2021), by the
// invariance of the entropy; Chiang and Cholak 2022, arXiv:2202.12172, by what a layer can say of one token among n.
//
// In an encoder the query is the source itself. In the enhanced mask decoder (masked_language_model.h) it is a few rows of their own.

#include "model/autograd/operations.h"
#include "model/autograd/parameter.h"
#include "model/model_input.h"
#include "model/position/position_encoding.h"
#include "model/settings.h"

namespace locus {

/// Rows of a batch that are on their way through a block.
struct BlockRows {
    Var x;                          // [rows, hidden]
    AttentionRows rows;             // which sequence each belongs to, and its position
    DropoutRows dropout_rows = {};  // needed in training only
};

class TransformerBlock {
public:
    /// Declares the parameters of block `number`; names begin with `prefix`, such as "bert.encoder.layer.3.". Settings and encodings must
    /// outlive the block.
    TransformerBlock(const ModelSettings& settings, const PositionEncodings& encodings, Parameters& parameters,
                     const std::string& prefix, std::int64_t number);
    /// Call when the parameters have their memory, and again when they have moved.
    void bind();

    /// The batch attends to itself: [rows, hidden]. `input` supplies the rows.
    Var self_attend(Tape& tape, Var x, const ModelInput& input, const RunMode& mode) const;

    /// Rows of `query` attend to `source`, all rows of `input`: [query rows, hidden]. `pass` counts the calls in one step, from 0: each has
    /// dropout masks of its own.
    Var attend_to(Tape& tape, const BlockRows& query, Var source, const ModelInput& input, std::int64_t pass,
                  const RunMode& mode) const;

private:
    // Places with a dropout mask of their own.
    enum class Site : std::uint32_t { attention = 1, attention_output, output, position_table };

    void declare_projections(Parameters& parameters, const std::string& prefix);
    Var joint_bias(Tape& tape) const;
    Var key_value_bias(Tape& tape) const;
    // What attention reads; queries and keys also as they were before the encodings rotated them.
    struct Projections {
        HeadColumns q, k, value, unrotated_q, unrotated_k;  // the last two only for visitors
    };
    struct Rotated {
        Var x, before;  // before: the same where nothing rotates
    };
    Rotated rotate(Tape& tape, Var x, std::int64_t columns, Tensor positions, const ModelInput& input,
                   const RunMode& mode) const;
    Var attend(Tape& tape, const Projections& projections, const BlockRows& query, const ModelInput& input,
               std::int64_t pass, const RunMode& mode) const;
    Var finish(Tape& tape, Var context, const BlockRows& query, std::int64_t pass, const RunMode& mode) const;
    Var feed_forward(Tape& tape, Var x, const DropoutRows& rows, std::int64_t pass, const RunMode& mode) const;
    Dropout dropout_at(Site site, std::int64_t pass, const RunMode& mode) const;

    const ModelSettings& settings_;
    const PositionEncodings& encodings_;
    std::int64_t number_;
    // The projections lie side by side, so that the three products are one: [3 hidden, hidden] and [3 hidden]; views of its parts.
    Parameter *first_weight_ = nullptr, *last_weight_ = nullptr;
    Parameter *query_bias_ = nullptr, *key_bias_ = nullptr, *value_bias_ = nullptr;  // DeBERTa v1 has no key_bias
    Parameter joint_weight_, joint_bias_, query_weight_, key_weight_, key_value_weight_, key_value_bias_;
    Parameter *attention_output_weight_, *attention_output_bias_, *attention_gamma_, *attention_beta_;
    Parameter *intermediate_weight_, *intermediate_bias_;
    Parameter *output_weight_, *output_bias_, *output_gamma_, *output_beta_;
};

}  // namespace locus
