// rnn: a recurrent net over the input embeddings; its states carry the order.
//
//   formula        e_i = word[id_i] + type[t_i],   h_i = cell(W e_i + b, h_{i-1}),   h_{-1} = 0
//       tanh       h_i = tanh(W e_i + b + U h_{i-1} + c)
//       gru        r, z = s(W e_i + b + U h_{i-1} + c),  n = tanh(W e_i + b + r (U h_{i-1} + c)),  h_i = (1 - z) n + z h_{i-1}
//       lstm       i, f, o = s(W e_i + b + U h_{i-1} + c),  g = tanh(same),  m_i = f m_{i-1} + i g,  h_i = o tanh(m_i)
//                  s: the logistic function; each gate has its own rows of W, U, b, c
//       states     add: x_i = e_i + h_i;  replace: x_i = h_i
//       directions forward: h of `hidden` channels, from left to right; both: two nets of hidden / 2 channels side by side, the second
//                  from right to left
//   shapes         G = 1, 3, 4 gates and H states of a direction: W [G H, hidden], U [G H, H], b, c [G H]
//   parameters     per direction G H (hidden + H + 2); gru: 6 hidden^2 + 6 hidden forward, 4.5 hidden^2 + 6 hidden for both
//   cost           one product for all W e_i; then a product of [sequences, H] by U^T after the other, as many as there are tokens: it
//                  cannot be parallel over the sequence, only over the batch
//   property       neither absolute nor relative: h_i depends on the tokens before it and their order. forward sees one side only. What is
//                  far away fades: in a long run of equal tokens the states settle, and the index is lost
//   extrapolation  any length: the same step again and again, within bounds (|h_i| < 1). Good for local order; far indices are not kept
//   source         Cho et al. 2014, arXiv:1406.1078 (gru); Hochreiter and Schmidhuber 1997 (lstm); in the place of positions: Su Jianlin,
//                  kexue.fm/archives/8130 (2021). Names and gates as in PyTorch's RNN, GRU and LSTM
#include "model/error.h"
#include "model/position/position_encoding.h"

namespace locus {
namespace {

class Rnn : public PositionEncoding {
public:
    Rnn(const ModelSettings& model, Cell cell, bool both, bool replace)
        : columns_(model.embedding_columns()),
          states_(both ? columns_ / 2 : columns_),
          cell_(cell),
          both_(both),
          replace_(replace) {}

    void declare_embedding_parameters(Parameters& parameters, const std::string& prefix) override {
        const std::int64_t width = gates_of(cell_) * states_;
        const auto declare = [&](const char* name, Shape shape, Initialization initial, Parameter*(&of)[2]) {
            const std::string full = prefix + "position_embeddings.rnn." + name + "_l0";
            of[0] = of[1] = &parameters.declare(full, shape, initial);
            if (both_) of[1] = &parameters.declare(full + "_reverse", shape, initial);
        };
        declare("weight_ih", {width, columns_}, Initialization::fan_in, input_weight_);
        declare("bias_ih", {width}, Initialization::zeros, input_bias_);
        declare("weight_hh", {width, states_}, Initialization::fan_in, state_weight_);
        declare("bias_hh", {width}, Initialization::zeros, state_bias_);
    }

    Var embed(Tape& tape, Var x, const ModelInput& input) const override {
        // Both directions' products of the input are one.
        const Var weight = tape.parameter(joined(*input_weight_[0], *input_weight_[1]));
        const Var bias = tape.parameter(joined(*input_bias_[0], *input_bias_[1]));
        const Var product = linear(tape, x, weight, bias);
        const RecurrentDirection right = direction(tape, 0), left = direction(tape, 1);
        const Var states = both_ ? recurrent(tape, product, cell_, {right, left}, input.rows)
                                 : recurrent(tape, product, cell_, {right}, input.rows);
        return replace_ ? states : add(tape, x, states);
    }

private:
    RecurrentDirection direction(Tape& tape, std::size_t number) const {
        return {.weight = tape.parameter(*state_weight_[number]),
                .bias = tape.parameter(*state_bias_[number]),
                .reverse = number == 1};
    }

    std::int64_t columns_, states_;
    Cell cell_;
    bool both_, replace_;
    Parameter* input_weight_[2] = {};  // of the way to the right and, if there is one, the way to the left
    Parameter* input_bias_[2] = {};
    Parameter* state_weight_[2] = {};
    Parameter* state_bias_[2] = {};
};

std::unique_ptr<PositionEncoding> make_rnn(const ModelSettings& model, const PositionSettings& position) {
    const auto& name = std::get<std::string>(position.options.at("cell"));
    const Cell cell = name == "tanh" ? Cell::tanh : name == "gru" ? Cell::gru : Cell::lstm;
    const bool both = std::get<std::string>(position.options.at("directions")) == "both";
    if (both && model.embedding_columns() % 2 != 0)
        throw ModelError("model.position: rnn with directions: both gives each half of the " +
                         std::to_string(model.embedding_columns()) + " columns of the embeddings; make them even");
    return std::make_unique<Rnn>(model, cell, both, std::get<std::string>(position.options.at("states")) == "replace");
}

}  // namespace

EncodingEntry rnn_encoding() {
    return {.name = "rnn",
            .summary = "a recurrent net over the input embeddings; its states carry the order",
            .options = {{.name = "cell",
                         .initial = std::string("gru"),
                         .choices = {"tanh", "gru", "lstm"},
                         .help = "what a step computes"},
                        {.name = "directions",
                         .initial = std::string("both"),
                         .choices = {"both", "forward"},
                         .help = "from which sides the net reads"},
                        {.name = "states",
                         .initial = std::string("add"),
                         .choices = {"add", "replace"},
                         .help = "whether the states are added to the embeddings or stand in their place"}},
            .make = make_rnn};
}

}  // namespace locus
