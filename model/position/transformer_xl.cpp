// transformer_xl: the query also asks for a distance, whose vector is a projected wave; and two global vectors ask on behalf of every query.
//
//   formula        score(i,j) = ( (q_i + u) . k_j + (q_i + v) . W R_{i-j} ) / sqrt(head_dim)
//                  R_r = ( sin(r w_0), cos(r w_0), sin(r w_1), ... ),  w_c = 10000^(-2 c / hidden);   drop(R) in training
//                  u . k_j asks which contents matter anyway, v . W R_{i-j} which distances
//   shapes         W = position_key.weight [hidden, hidden] per layer; R [2 L - 1, hidden], made for the longest sequence L; u = content_bias,
//                  v = position_bias [heads, head_dim], for all layers, or for each layer if untied
//   parameters     layers * hidden^2 + 2 hidden; 2 hidden per layer if untied
//   cost           as much again as q . k on the band of distances that a tile can see, and a product of [2 L - 1, hidden] per layer
//   property       the score depends on the contents and on i - j alone, with its sign. W may mix sines and cosines of one wave, which turns
//                  it: a head can look "three to the left" by learning a rotation, and has learned it for all distances at once
//   extrapolation  any length, but slow waves reach angles that training never saw. max_distance gives further distances the outermost
//                  vector, as Transformer-XL's clamp_len; 0: none do
//   options        untied: u and v per layer, as XLNet has them. Here keys to the right are distances like those to the left; Transformer-XL
//                  has none, XLNet does as here
//   source         Dai et al. 2019, arXiv:1901.02860, section 3.3; Yang et al. 2019, arXiv:1906.08237
#include <algorithm>
#include <cmath>

#include "model/error.h"
#include "model/position/position_encoding.h"

namespace locus {
namespace {

class TransformerXl : public PositionEncoding {
public:
    TransformerXl(const ModelSettings& model, std::int64_t max_distance, bool untied)
        : hidden_(model.hidden), heads_(model.heads), max_distance_(max_distance), untied_(untied) {}

    void declare_encoder_parameters(Parameters& parameters, const std::string& prefix) override {
        if (!untied_) declare_biases(parameters, prefix);
    }
    void declare_layer_parameters(Parameters& parameters, const std::string& prefix) override {
        projections_.push_back(&parameters.declare(prefix + "position_key.weight", {hidden_, hidden_}));
        if (untied_) declare_biases(parameters, prefix);
    }

    void relate(Tape& tape, const LayerContext& layer, const ModelInput& input, AttentionScore& score) const override {
        const auto number = static_cast<std::size_t>(layer.number);
        const std::int64_t farthest = input.longest - 1;
        const std::int64_t reach = max_distance_ == 0 ? farthest : std::min(farthest, max_distance_);
        const Tensor rows = tape.host_tensor({2 * reach + 1}, DType::int32),
                     same_sequence = tape.host_tensor({2 * reach + 1}, DType::int32);
        for (std::int32_t row = 0; row <= 2 * reach; ++row) {
            rows.as<std::int32_t>()[row] = row;
            same_sequence.as<std::int32_t>()[row] = 0;
        }
        const Var distances =
            dropout(tape, waves(tape, reach, score.dtype), layer.table_dropout, {same_sequence, rows});
        score.key_table = {linear(tape, distances, tape.parameter(*projections_[number])), rows};
        const GlobalVectors& global = global_[untied_ ? number : 0];
        score.content_bias = tape.parameter(*global.content);
        score.position_bias = tape.parameter(*global.position);
    }

private:
    struct GlobalVectors {
        const Parameter *content, *position;  // u, v
    };

    void declare_biases(Parameters& parameters, const std::string& prefix) {
        const auto vector = [&](const char* name) {
            Parameter& parameter = parameters.declare(prefix + name, {heads_, hidden_ / heads_});
            parameter.decay = false;  // a bias of the queries
            return &parameter;
        };
        const Parameter* const content = vector("content_bias");
        global_.push_back({content, vector("position_bias")});
    }

    // R, from distance -reach on. A sine is odd and a cosine even: each angle is computed once for both signs.
    Var waves(Tape& tape, std::int64_t reach, DType dtype) const {
        const Tensor table = tape.host_tensor({2 * reach + 1, hidden_}, dtype);
        if (dtype == DType::float64) {
            fill<double>(table);
        } else {
            fill<float>(table);
        }
        return tape.constant(table);
    }

    template <class T>
    void fill(const Tensor& table) const {
        const std::int64_t reach = table.shape[0] / 2;
        T* const zero = table.as<T>() + reach * hidden_;  // the row of distance 0
        for (std::int64_t channel = 0; channel < hidden_; channel += 2) {
            const double frequency = std::pow(10000.0, -static_cast<double>(channel) / static_cast<double>(hidden_));
            for (std::int64_t r = 0; r <= reach; ++r) {
                const double angle = static_cast<double>(r) * frequency;
                const T sine = static_cast<T>(std::sin(angle)), cosine = static_cast<T>(std::cos(angle));
                zero[-r * hidden_ + channel] = -sine;
                zero[r * hidden_ + channel] = sine;
                if (channel + 1 == hidden_) continue;
                zero[-r * hidden_ + channel + 1] = cosine;
                zero[r * hidden_ + channel + 1] = cosine;
            }
        }
    }

    std::int64_t hidden_, heads_, max_distance_;
    bool untied_;
    std::vector<const Parameter*> projections_;  // by layer
    std::vector<GlobalVectors> global_;          // one pair, or one per layer
};

std::unique_ptr<PositionEncoding> make_transformer_xl(const ModelSettings& model, const PositionSettings& position) {
    const auto max_distance = std::get<std::int64_t>(position.options.at("max_distance"));
    if (max_distance < 0) throw ModelError("model.position.max_distance of transformer_xl must not be negative");
    return std::make_unique<TransformerXl>(model, max_distance, std::get<bool>(position.options.at("untied")));
}

}  // namespace

EncodingEntry transformer_xl_encoding() {
    return {.name = "transformer_xl",
            .summary = "projected waves of the distance, and two global vectors (Transformer-XL, XLNet)",
            .options = {{.name = "max_distance",
                         .initial = std::int64_t{0},
                         .choices = {},
                         .help = "further distances share the outermost vectors; 0: none do"},
                        {.name = "untied", .initial = false, .choices = {}, .help = "global vectors for each layer"}},
            .terms = {ScoreTerm::key_table, ScoreTerm::content_bias, ScoreTerm::position_bias},
            .make = make_transformer_xl};
}

}  // namespace locus
