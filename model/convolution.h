#pragma once
// DeBERTa v2's convolution: what the first block learns about neighbours, it can read off the embeddings directly.
//
//   y = LN(block_output + act(drop(conv(embeddings) + b)))        conv: kernel taps over the sequence, zeros past its ends, no flip
//
// after the first block only. Reference: He et al. 2021, arXiv:2006.03654, section 5 ("nGiE", +Conv in table 13); the place of dropout and
// activation is that of the authors' code.

#include "model/autograd/operations.h"
#include "model/autograd/parameter.h"
#include "model/model_input.h"
#include "model/settings.h"

namespace locus {

class Convolution {
public:
    /// Declares weight [hidden, hidden, kernel], bias and norm; names begin with `prefix`, such as "deberta.encoder.". Throws ModelError for an
    /// even kernel and an unknown activation.
    Convolution(const ModelSettings& settings, Parameters& parameters, const std::string& prefix);
    /// Call once when the parameters have their memory.
    void bind();

    /// [rows, hidden] from the embeddings and the first block's output, both [rows, hidden].
    Var forward(Tape& tape, Var embeddings, Var block_output, const ModelInput& input, const Dropout& dropout) const;

private:
    const ModelSettings& settings_;
    Parameter *weight_, *bias_, *gamma_, *beta_;
    Parameter taps_;  // weight as [hidden, hidden * kernel], which is how unfold() lays out a neighbourhood
};

}  // namespace locus
