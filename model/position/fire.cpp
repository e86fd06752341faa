// fire: a small network turns the distance, as a share of the longest one, into a bias per head. Functional interpolation.
//
//   formula        score(i,j) = q_i . k_j / sqrt(head_dim) + f_h( x(j - i) ),   f_h(x) = sum_m w2[h, m] max(0, w1_m x + b1_m)
//                  x(d) = sign(d) psi(|d|) / ( psi(max(n - 1, t)) + 1e-6 ),   psi(s) = ln(1 + |c| s),  n - 1 the longest distance in the batch
//   shapes         w1 = position_bias.hidden.weight [hidden_units, 1], b1 [hidden_units]; w2 = position_bias.output.weight [heads, hidden_units];
//                  c = slope * position_bias.slope, t = |threshold * position_bias.threshold|, both parameters [1] starting at 1.
//                  For all layers, or for each layer if per_layer
//   parameters     hidden_units * (heads + 2) + 2, times layers if per_layer. The authors' code has a bias per head after w2 as well, which adds
//                  the same to all scores of a row: their softmax does not see it
//   cost           one addition per score; the network runs over 2 n - 1 distances per layer
//   property       a learned curve per head; knows left from right if signed
//   extrapolation  any length: x stays within [-1, 1], so that the network never sees a number that training has not shown it; what was "far"
//                  at n = t stays "far". Up to n - 1 = t the bias depends on the distance alone, beyond it on n as well
//   options        signed: false and a causal mask would be the published form. There the divisor is psi(max(i, t)), i the query's index;
//                  in an encoder that would give early and late tokens different rulers, and a short distance from the right end none at
//                  all, so here all pairs share the longest distance. threshold 0: model.max_length
//   source         Li et al. 2024, arXiv:2310.04418
#include <algorithm>

#include "model/error.h"
#include "model/position/position_encoding.h"

namespace locus {
namespace {

struct FireOptions {
    FireShape shape;
    std::int64_t hidden_units;
    bool per_layer;
};

class Fire : public PositionEncoding {
public:
    Fire(const ModelSettings& model, const FireOptions& options) : heads_(model.heads), options_(options) {}

    void declare_encoder_parameters(Parameters& parameters, const std::string& prefix) override {
        if (!options_.per_layer) declare(parameters, prefix + "position_bias.");
    }
    void declare_layer_parameters(Parameters& parameters, const std::string& prefix) override {
        if (options_.per_layer) declare(parameters, prefix + "position_bias.");
    }

    bool is_symmetric() const override { return !options_.shape.is_signed; }

    void relate(Tape& tape, const LayerContext& layer, const ModelInput& input, AttentionScore& score) const override {
        const Network& own = networks_[options_.per_layer ? static_cast<std::size_t>(layer.number) : 0];
        const Var x = fire_distances(tape, tape.parameter(*own.slope), tape.parameter(*own.threshold), options_.shape,
                                     longest_distance(input) + 1);
        score.add_bias(bias_network(
            tape,
            {.x = x, .w1 = tape.parameter(*own.w1), .b1 = tape.parameter(*own.b1), .w2 = tape.parameter(*own.w2)}));
    }

private:
    struct Network {
        const Parameter *slope, *threshold, *w1, *b1, *w2;
    };

    // Between tokens of one sequence: positions need not begin at 0.
    static std::int64_t longest_distance(const ModelInput& input) {
        const auto *const begin = input.rows.offsets.as<std::int32_t>(), *const positions =
                                                                             input.rows.positions.as<std::int32_t>();
        std::int64_t longest = 0;
        for (std::int64_t s = 0; s + 1 < input.rows.offsets.count(); ++s) {
            if (begin[s] == begin[s + 1]) continue;
            longest = std::max<std::int64_t>(longest, positions[begin[s + 1] - 1] - positions[begin[s]]);
        }
        return longest;
    }

    void declare(Parameters& parameters, const std::string& prefix) {
        const std::int64_t hidden = options_.hidden_units;
        Network& network = networks_.emplace_back();
        network.slope = &parameters.declare(prefix + "slope", {1}, Initialization::ones);
        network.threshold = &parameters.declare(prefix + "threshold", {1}, Initialization::ones);
        network.w1 = &parameters.declare(prefix + "hidden.weight", {hidden, 1}, Initialization::fan_in);
        network.b1 = &parameters.declare(prefix + "hidden.bias", {hidden}, Initialization::fan_in);
        network.w2 = &parameters.declare(prefix + "output.weight", {heads_, hidden}, Initialization::fan_in);
    }

    std::int64_t heads_;
    FireOptions options_;
    std::vector<Network> networks_;  // one, or one per layer
};

std::unique_ptr<PositionEncoding> make_fire(const ModelSettings& model, const PositionSettings& position) {
    const auto integer = [&](const char* name) { return std::get<std::int64_t>(position.options.at(name)); };
    const double slope = std::get<double>(position.options.at("slope"));
    if (!(slope > 0)) throw ModelError("model.position.slope of fire must be above 0");
    if (integer("threshold") < 0) throw ModelError("model.position.threshold of fire must not be negative");
    if (integer("hidden_units") < 1) throw ModelError("model.position.hidden_units of fire must be at least 1");
    const std::int64_t threshold = integer("threshold") == 0 ? model.max_length : integer("threshold");
    return std::make_unique<Fire>(model,
                                  FireOptions{.shape = {.slope = slope,
                                                        .threshold = static_cast<double>(threshold),
                                                        .is_signed = std::get<bool>(position.options.at("signed"))},
                                              .hidden_units = integer("hidden_units"),
                                              .per_layer = std::get<bool>(position.options.at("per_layer"))});
}

}  // namespace

EncodingEntry fire_encoding() {
    return {
        .name = "fire",
        .summary = "a small network turns the distance, as a share of the longest one, into a bias per head (FIRE)",
        .options =
            {{.name = "hidden_units", .initial = std::int64_t{32}, .choices = {}, .help = "of the network"},
             {.name = "slope", .initial = 0.1, .choices = {}, .help = "c before training: how soon distances crowd"},
             {.name = "threshold",
              .initial = std::int64_t{0},
              .choices = {},
              .help = "t before training: shorter sequences are measured against it; 0: model.max_length"},
             {.name = "signed",
              .initial = true,
              .choices = {},
              .help = "distances have a sign; false: blind to the direction, as published"},
             {.name = "per_layer", .initial = false, .choices = {}, .help = "a network of its own in each layer"}},
        .make = make_fire};
}

}  // namespace locus
