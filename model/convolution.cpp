#include "model/convolution.h"

#include "model/error.h"

namespace locus {

Convolution::Convolution(const ModelSettings& settings, Parameters& parameters, const std::string& prefix)
    : settings_(settings) {
    const std::int64_t hidden = settings.hidden, kernel = settings.convolution.kernel;
    if (kernel < 1 || kernel % 2 == 0)
        throw ModelError("model.convolution.kernel is " + std::to_string(kernel) + "; it must be odd");
    const std::string& activation = settings.convolution.activation;
    if (activation != "tanh" && activation != "gelu")
        throw ModelError("model.convolution.activation is " + activation + "; there are: tanh, gelu");
    weight_ = &parameters.declare(prefix + "conv.conv.weight", {hidden, hidden, kernel}, Initialization::fan_in);
    bias_ = &parameters.declare(prefix + "conv.conv.bias", {hidden}, Initialization::zeros);
    gamma_ = &parameters.declare(prefix + "conv.LayerNorm.weight", {hidden}, Initialization::ones);
    beta_ = &parameters.declare(prefix + "conv.LayerNorm.bias", {hidden}, Initialization::zeros);
}

void Convolution::bind() {
    taps_ = reshaped(*weight_, {settings_.hidden, settings_.hidden * settings_.convolution.kernel});
}

Var Convolution::forward(Tape& tape, Var embeddings, Var block_output, const ModelInput& input,
                         const Dropout& dropout) const {
    tape.enter(Phase::convolution);
    const Var neighbours = unfold(tape, embeddings, settings_.convolution.kernel, input.rows);
    const Var product = linear(tape, neighbours, tape.parameter(taps_), tape.parameter(*bias_));
    const Var dropped = locus::dropout(tape, product, dropout, input.dropout_rows);
    const Var active = settings_.convolution.activation == "tanh" ? tanh(tape, dropped) : gelu(tape, dropped);
    tape.enter(Phase::layer_norm);
    return layer_norm(tape, active, block_output, tape.parameter(*gamma_), tape.parameter(*beta_),
                      settings_.layer_norm_epsilon);
}

}  // namespace locus
