#pragma once
// The model: embeddings, post-LN transformer blocks, and the masked-LM head on the masked rows. BERT (Devlin et al. 2019,
// arXiv:1810.04805) in the parametrisation and with the tensor names of Hugging Face's BertForMaskedLM.
//
//   x_0 = drop(LN(word[id] + type[tt] + embed(...)))
//   a   = LN(drop(attention(x) Wo^T + bo) + x),   x' = LN(drop(gelu(a Wi^T + bi) Wf^T + bf) + a)         for each layer
//   t   = LN(gelu(x_N[masked] Wt^T + bt)),        logits = t word^T + bias

#include <functional>
#include <memory>
#include <vector>

#include "model/autograd/operations.h"
#include "model/autograd/parameter.h"
#include "model/model_input.h"
#include "model/position/position_encoding.h"
#include "model/settings.h"

namespace locus {

class MaskedLanguageModel {
public:
    /// Declares and allocates the parameters, all zero. `arithmetic` float32 or float64; bfloat16 keeps everything in float32 but
    /// rounds the operands of the linear layers' matrix products. Throws ModelError when the settings contradict each other.
    MaskedLanguageModel(const ModelSettings& settings, DType arithmetic);

    const ModelSettings& settings() const { return settings_; }
    Parameters& parameters() { return parameters_; }
    const Parameters& parameters() const { return parameters_; }
    /// Fills the parameters as the reference implementation does: normal(0, initializer_range), zero biases, norms 1 and 0.
    void initialize(std::uint32_t seed);

    /// The longest sequence that the model takes; 0: any.
    std::int64_t longest_sequence() const;

    /// Called with (0, embeddings), (1, output of the first layer), ...
    using HiddenStateVisitor = std::function<void(std::int64_t layer, const Tensor& hidden)>;

    /// Output of the last layer: [rows, hidden]. Throws ModelError for a sequence longer than an encoding takes, std::out_of_range
    /// for an id that is not in the vocabulary.
    Var encode(Tape& tape, const ModelInput& input, const RunMode& mode, const HiddenStateVisitor& visit = {}) const;

    /// Logits of selected rows: [selected, vocab]. `rows` int32, strictly increasing; absent: all rows.
    Var logits(Tape& tape, Var encoded, Tensor rows) const;

    /// Loss of the masked rows; scale as in masked_cross_entropy(). With a recording tape, tape.backward() then fills the gradients.
    MaskedLoss masked_lm_loss(Tape& tape, const ModelInput& input, const MaskedTargets& targets, double scale,
                              const RunMode& mode) const;

private:
    struct Layer {
        Parameter qkv_weight, qkv_bias;                                // query, key and value, joined
        Parameter *query_weight, *query_bias, *key_weight, *key_bias;  // parts of them
        Parameter *attention_output_weight, *attention_output_bias, *attention_gamma, *attention_beta;
        Parameter *intermediate_weight, *intermediate_bias;
        Parameter *output_weight, *output_bias, *output_gamma, *output_beta;
    };
    // Places with a dropout mask of their own.
    enum class Site : std::uint32_t { embeddings, attention, attention_output, output, position_table };

    void declare_embeddings();
    void declare_layer(std::int64_t layer);
    void declare_head();
    void check_input(const ModelInput& input) const;
    Dropout dropout_at(Site site, std::int64_t layer, const RunMode& mode) const;

    Var embeddings(Tape& tape, const ModelInput& input, const RunMode& mode) const;
    Var self_attention(Tape& tape, std::int64_t layer, Var x, const ModelInput& input, const RunMode& mode) const;
    Var feed_forward(Tape& tape, std::int64_t layer, Var x, const ModelInput& input, const RunMode& mode) const;
    Var head_transform(Tape& tape, Var x) const;

    ModelSettings settings_;
    bool bfloat16_products_;
    Parameters parameters_;
    std::vector<std::unique_ptr<PositionEncoding>> encodings_;
    std::vector<Layer> layers_;
    Parameter *word_ = nullptr, *token_type_ = nullptr;
    Parameter *embedding_gamma_ = nullptr, *embedding_beta_ = nullptr;
    Parameter *transform_weight_ = nullptr, *transform_bias_ = nullptr;
    Parameter *transform_gamma_ = nullptr, *transform_beta_ = nullptr;
    Parameter* decoder_bias_ = nullptr;
};

}  // namespace locus
