// log_cpb: a small network turns the logarithm of the distance into a bias per head. Swin v2's log-spaced continuous position bias.
//
//   formula        score(i,j) = q_i . k_j / sqrt(head_dim) + 16 / (1 + exp( -f_h(x(j - i)) )),   f_h(x) = sum_m w2[h, m] max(0, w1_m x + b1_m)
//       log        x(d) = sign(d) log2(1 + 8 |d| / (n - 1)) / log2(8),   n = max_length
//       linear     x(d) = d / (n - 1)
//   shapes         w1 = position_bias.hidden.weight [hidden_units, 1], b1 [hidden_units], w2 = position_bias.output.weight [heads, hidden_units];
//                  for all layers, or for each layer if per_layer
//   parameters     hidden_units * (heads + 2), times layers if per_layer
//   cost           one addition per score; the network runs over 2 L - 1 distances per layer, L the longest sequence of the batch
//   property       a learned curve per head, between 0 and 16, that knows the sign
//   extrapolation  any length, by where the network's straight pieces lead. Twice the training length ends at x = 2 for linear, at 1.36
//                  instead of 1.06 for log: there is less to extrapolate
//   options        distance; max_length should be the training length, since distances are measured by it
//   source         Liu et al. 2022, arXiv:2111.09883, section 3.3, for windows of an image: there in two dimensions, and beside an attention by
//                  cosines, which is a choice of its own and not made here
#include <cmath>

#include "model/error.h"
#include "model/position/position_encoding.h"

namespace locus {
namespace {

constexpr double ceiling = 16;

class LogCpb : public PositionEncoding {
public:
    LogCpb(const ModelSettings& model, std::int64_t hidden_units, bool logarithmic, bool per_layer)
        : heads_(model.heads),
          hidden_units_(hidden_units),
          farthest_(static_cast<double>(model.max_length - 1)),
          logarithmic_(logarithmic),
          per_layer_(per_layer) {}

    void declare_encoder_parameters(Parameters& parameters, const std::string& prefix) override {
        if (!per_layer_) declare(parameters, prefix + "position_bias.");
    }
    void declare_layer_parameters(Parameters& parameters, const std::string& prefix) override {
        if (per_layer_) declare(parameters, prefix + "position_bias.");
    }

    void relate(Tape& tape, const LayerContext& layer, const ModelInput& input, AttentionScore& score) const override {
        const Network& own = networks_[per_layer_ ? static_cast<std::size_t>(layer.number) : 0];
        const std::int64_t reach = input.longest - 1;
        const Tensor x = tape.host_tensor({2 * reach + 1}, score.dtype);
        for (std::int64_t r = -reach; r <= reach; ++r) {  // query minus key
            if (score.dtype == DType::float64) {
                x.as<double>()[r + reach] = place(-r);
            } else {
                x.as<float>()[r + reach] = static_cast<float>(place(-r));
            }
        }
        score.add_bias(bias_network(tape,
                                    {.x = tape.constant(x),
                                     .w1 = tape.parameter(*own.w1),
                                     .b1 = tape.parameter(*own.b1),
                                     .w2 = tape.parameter(*own.w2)},
                                    ceiling));
    }

private:
    struct Network {
        const Parameter *w1, *b1, *w2;
    };

    // x of the formula.
    double place(std::int64_t key_minus_query) const {
        const double share = static_cast<double>(key_minus_query) / farthest_;
        if (!logarithmic_) return share;
        return std::copysign(std::log2(1 + 8 * std::abs(share)) / 3, share);
    }

    void declare(Parameters& parameters, const std::string& prefix) {
        Network& network = networks_.emplace_back();
        network.w1 = &parameters.declare(prefix + "hidden.weight", {hidden_units_, 1}, Initialization::fan_in);
        network.b1 = &parameters.declare(prefix + "hidden.bias", {hidden_units_}, Initialization::fan_in);
        network.w2 = &parameters.declare(prefix + "output.weight", {heads_, hidden_units_}, Initialization::fan_in);
    }

    std::int64_t heads_, hidden_units_;
    double farthest_;
    bool logarithmic_, per_layer_;
    std::vector<Network> networks_;  // one, or one per layer
};

std::unique_ptr<PositionEncoding> make_log_cpb(const ModelSettings& model, const PositionSettings& position) {
    const auto hidden_units = std::get<std::int64_t>(position.options.at("hidden_units"));
    if (hidden_units < 1) throw ModelError("model.position.hidden_units of log_cpb must be at least 1");
    if (model.max_length < 2)
        throw ModelError("log_cpb measures distances by model.max_length - 1, so model.max_length must be at least 2");
    return std::make_unique<LogCpb>(model, hidden_units,
                                    std::get<std::string>(position.options.at("distance")) == "log",
                                    std::get<bool>(position.options.at("per_layer")));
}

}  // namespace

EncodingEntry log_cpb_encoding() {
    return {.name = "log_cpb",
            .summary = "a small network turns the logarithm of the distance into a bias per head (Swin v2)",
            .options =
                {{.name = "hidden_units", .initial = std::int64_t{512}, .choices = {}, .help = "of the network"},
                 {.name = "distance",
                  .initial = std::string("log"),
                  .choices = {"log", "linear"},
                  .help = "what the network is given"},
                 {.name = "per_layer", .initial = false, .choices = {}, .help = "a network of its own in each layer"}},
            .make = make_log_cpb};
}

}  // namespace locus
