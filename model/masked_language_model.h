#pragma once
// The model: embeddings, post-LN transformer blocks, a mask decoder and the masked-LM head, which both see the masked rows only.
// BERT (Devlin et al. 2019, arXiv:1810.04805) and DeBERTa (He et al. 2021, arXiv:2006.03654) in the parametrisation and with the tensor names
// of Hugging Face's BertForMaskedLM, DebertaForMaskedLM and DebertaV2ForMaskedLM.
//
//   x_0 = drop(LN((word[id] + type[tt] + embed(...)) We^T))        We only when embedding_size is not hidden
//   x_l = block_l(x_{l-1}),  l = 1 .. N                            transformer_block.h; after the first, convolution.h where there is one
//   z   = decode(x)[masked]                                        plain or enhanced, see below
//   t   = LN(gelu(z Wt^T + bt)),   logits = t word^T + bias
//
// The plain mask decoder takes z = x_N. DeBERTa's enhanced one takes the last block again and again, n = 2 times (decoder_passes):
//
//   z_0 = x_{N-1} + p,   z_i = block_N(query = z_{i-1}, source = x_{N-1}),   z = z_n
//
// with p the rows of a table of absolute positions (position/absolute.cpp): DeBERTa says where a token stands only here, just before the
// prediction. All passes share the weights of block N, which is used in no other way, so x_N itself is never computed.
//
// model.recompute: of each block, and of each pass of the decoder, only the input is kept for the backward pass (autograd/recompute.h).

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "model/arithmetic.h"
#include "model/autograd/operations.h"
#include "model/autograd/parameter.h"
#include "model/convolution.h"
#include "model/model_input.h"
#include "model/position/position_encoding.h"
#include "model/settings.h"
#include "model/transformer_block.h"

namespace locus {

class MaskedLanguageModel {
public:
    /// Declares and allocates the parameters, all zero. `arithmetic` float32 or float64; bfloat16 keeps everything in float32 but
    /// rounds the operands of the matrix products (architecture.md), and on a GPU stores the activations from the first block to the logits, and their
    /// gradients, as bfloat16. Products in TF32 exist on a GPU only. Throws ModelError when the settings contradict each other.
    MaskedLanguageModel(const ModelSettings& settings, Arithmetic arithmetic);

    const ModelSettings& settings() const { return settings_; }
    /// As it was constructed.
    Arithmetic arithmetic() const { return {parameters_.dtype(), products_}; }
    Parameters& parameters() { return parameters_; }
    const Parameters& parameters() const { return parameters_; }
    /// Takes the parameters to a device, where from now on the model computes: with tapes over an arena of the same device. Throws GpuError.
    void move_to(Device device);
    Device device() const { return parameters_.device(); }
    /// On the processor, before move_to(): fills the parameters as the reference implementation does: normal(0, initializer_range), zero biases, norms 1 and 0.
    void initialize(std::uint32_t seed);

    /// The longest sequence that the model takes; 0: any.
    std::int64_t longest_sequence() const;

    /// For a warning: "disentangled: rows 0 to 384 and 640 to 1023 of rel_embeddings" for each encoding with rows that sequences of `length` tokens
    /// never reach.
    std::vector<std::string> untrained_rows(std::int64_t length) const;

    /// Called with (0, embeddings), (1, output of the first layer), ...
    using HiddenStateVisitor = std::function<void(std::int64_t layer, const Tensor& hidden)>;

    /// What the mask decoder starts from, [rows, hidden]: the output of the last layer, with an enhanced decoder that of the last but one (the
    /// last is then computed for `visit` alone). Stored as bfloat16 where activations are. Throws ModelError for a sequence longer than an encoding takes, std::out_of_range
    /// for an id that is not in the vocabulary.
    Var encode(Tape& tape, const ModelInput& input, const RunMode& mode, const HiddenStateVisitor& visit = {}) const;

    /// Logits of selected rows: [selected, vocab], never bfloat16. `encoded` of encode() for the same input; `rows` int32, strictly increasing; absent: all.
    Var logits(Tape& tape, Var encoded, const ModelInput& input, Tensor rows, const RunMode& mode = {}) const;

    /// Loss of the masked rows; scale as in masked_cross_entropy(). With a recording tape, tape.backward() then fills the gradients.
    MaskedLoss masked_lm_loss(Tape& tape, const ModelInput& input, const MaskedTargets& targets, double scale,
                              const RunMode& mode) const;

private:
    void bind();
    void declare_embeddings(const std::string& prefix);
    void declare_head();
    void check_input(const ModelInput& input) const;
    ModelInput renumbered(Tape& tape, const ModelInput& input, const RunMode& mode) const;

    Var embeddings(Tape& tape, const ModelInput& input, const RunMode& mode) const;
    Var encode_renumbered(Tape& tape, const ModelInput& input, const RunMode& mode,
                          const HiddenStateVisitor& visit) const;
    Var run_layer(Tape& tape, std::int64_t number, Var x, const ModelInput& input, const RunMode& mode) const;
    template <std::size_t N, class Function>
    Var run_block(Tape& tape, const std::array<Var, N>& inputs, const RunMode& mode, Function block) const;
    Var decode(Tape& tape, Var encoded, const ModelInput& input, Tensor rows, const RunMode& mode) const;
    Var transform(Tape& tape, Var x) const;

    ModelSettings settings_;
    Rounding products_;
    Parameters parameters_;
    PositionEncodings encodings_;
    std::vector<TransformerBlock> blocks_;
    std::optional<Convolution> convolution_;
    Parameter *word_ = nullptr, *token_type_ = nullptr, *embedding_projection_ = nullptr;
    Parameter *embedding_gamma_ = nullptr, *embedding_beta_ = nullptr;
    Parameter *transform_weight_ = nullptr, *transform_bias_ = nullptr;
    Parameter *transform_gamma_ = nullptr, *transform_beta_ = nullptr;
    Parameter* decoder_bias_ = nullptr;
};

}  // namespace locus
