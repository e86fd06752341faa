// kerple: the score falls with the distance along a curve whose two numbers each head learns.
//
//   formula        score(i,j) = q_i . k_j / sqrt(head_dim) - cost_h(i - j)
//       log        cost_h(r) = p ln(1 + a |r|)                                 p > 0, a > 0
//       power      cost_h(r) = a |r|^p                                         0 < p < 2, a > 0; p = 1 is alibi with learned slopes
//                  a = ln(1 + e^A), p = ln(1 + e^P), for the power p = 2 / (1 + e^-P): positive whatever A and P are. The authors keep
//                  a and p themselves and push them back to 0.01 after each step
//   shapes         A = position_bias.a, P = position_bias.p, [sides, heads]; sides 2 if signed: one curve for keys to the left (r > 0), one for
//                  keys to the right. For all layers, or for each layer if per_layer
//   parameters     2 * sides * heads, times layers if per_layer
//   cost           one addition per score; the curve by distance is made once per layer
//   property       near keys first, and each head learns how near; the signed one knows left from right, the other one cannot
//   extrapolation  any length: the curve goes on; the logarithm hardly tells far distances apart
//   options        kernel; signed: true is ours, for encoders: the published curve depends on |r| alone and is blind to the direction
//   source         Chi et al. 2022, arXiv:2205.09921, for a causal model
#include "model/position/position_encoding.h"

namespace locus {
namespace {

class Kerple : public PositionEncoding {
public:
    Kerple(const ModelSettings& model, bool power, bool is_signed, bool per_layer)
        : shape_{is_signed ? 2 : 1, model.heads}, power_(power), per_layer_(per_layer) {}

    void declare_encoder_parameters(Parameters& parameters, const std::string& prefix) override {
        if (!per_layer_) declare(parameters, prefix);
    }
    void declare_layer_parameters(Parameters& parameters, const std::string& prefix) override {
        if (per_layer_) declare(parameters, prefix);
    }

    bool is_symmetric() const override { return shape_[0] == 1; }

    void relate(Tape& tape, const LayerContext& layer, const ModelInput& input, AttentionScore& score) const override {
        const Curve& curve = curves_[per_layer_ ? static_cast<std::size_t>(layer.number) : 0];
        score.add_bias(
            kerple_bias(tape, tape.parameter(*curve.a), tape.parameter(*curve.p), power_, input.longest - 1));
    }

private:
    struct Curve {
        const Parameter *a, *p;
    };

    // They start apart, so that the heads begin at different ranges, and are not decayed: 0 is no neutral value of theirs.
    void declare(Parameters& parameters, const std::string& prefix) {
        const auto number = [&](const char* name) {
            Parameter& parameter = parameters.declare(prefix + name, shape_, Initialization::uniform);
            parameter.decay = false;
            return &parameter;
        };
        const Parameter* const a = number("position_bias.a");
        curves_.push_back({a, number("position_bias.p")});
    }

    Shape shape_;
    bool power_, per_layer_;
    std::vector<Curve> curves_;  // one, or one per layer
};

std::unique_ptr<PositionEncoding> make_kerple(const ModelSettings& model, const PositionSettings& position) {
    const auto flag = [&](const char* name) { return std::get<bool>(position.options.at(name)); };
    return std::make_unique<Kerple>(model, std::get<std::string>(position.options.at("kernel")) == "power",
                                    flag("signed"), flag("per_layer"));
}

}  // namespace

EncodingEntry kerple_encoding() {
    return {
        .name = "kerple",
        .summary = "the score falls with the distance along a curve that each head learns",
        .options = {{.name = "kernel",
                     .initial = std::string("log"),
                     .choices = {"log", "power"},
                     .help = "-p ln(1 + a |r|) or -a |r|^p"},
                    {.name = "signed",
                     .initial = true,
                     .choices = {},
                     .help = "a curve for each side; false: blind to the direction, as published"},
                    {.name = "per_layer", .initial = false, .choices = {}, .help = "curves of its own in each layer"}},
        .make = make_kerple};
}

}  // namespace locus
