// shaw: a vector per distance is added to the key, and another one to the value, wherever a pair meets at that distance.
//
//   formula        score(i,j) = q_i . (k_j + K[c(j - i)]) / sqrt(head_dim),   c(d) = clamp(d, -k, k) + k,  k = max_distance
//                  out_i      = sum_j softmax_j(score) (value_j + V[c(j - i)])                        V only if values
//   shapes         K = relative_keys, V = relative_values, [2 k + 1, head_dim] each, one of each per layer, shared by the heads; row 0 is a
//                  key k or more to the left, row k is distance 0
//   parameters     layers * (2 k + 1) * head_dim, twice that with values; none with vectors: sinusoidal
//   cost           K as much again as q . k, and V as much again as the weighted sum, on the band of distances that a tile can see
//   property       knows the sign. V tells the layers above from where something came: equal tokens everywhere no longer give equal outputs
//   extrapolation  any length: beyond k only the side is known. k should stay below the training length, else the outermost rows stay
//                  at their first values
//   options        vectors: learned, or sinusoidal as in NEZHA, without parameters: K[c(d)] = V[c(d)] = (sin d w_0, cos d w_0, sin d w_1, ...),
//                  w_c = 10000^(-2 c / head_dim), which differ beyond every training length too, so that k may be as large as one likes
//   source         Shaw et al. 2018, arXiv:1803.02155; sinusoidal: Wei et al. 2019, arXiv:1909.00204
#include <cmath>

#include "model/error.h"
#include "model/position/position_encoding.h"

namespace locus {
namespace {

struct ShawOptions {
    std::int64_t max_distance;
    bool values, learned;
};

class Shaw : public PositionEncoding {
public:
    Shaw(const ModelSettings& model, const ShawOptions& options)
        : options_(options), head_dim_(model.hidden / model.heads) {
        for (std::int64_t r = -options.max_distance; r <= options.max_distance; ++r)  // r = i - j
            row_of_distance_.push_back(static_cast<std::int32_t>(options.max_distance - r));
    }

    void declare_layer_parameters(Parameters& parameters, const std::string& prefix) override {
        if (!options_.learned) return;
        const auto table = [&](const char* name) { return &parameters.declare(prefix + name, {rows(), head_dim_}); };
        keys_.push_back(table("relative_keys.weight"));
        if (options_.values) values_.push_back(table("relative_values.weight"));
    }

    void relate(Tape& tape, const LayerContext& layer, const ModelInput&, AttentionScore& score) const override {
        const auto number = static_cast<std::size_t>(layer.number);
        const Tensor row_of_distance(const_cast<std::int32_t*>(row_of_distance_.data()), {rows()}, DType::int32);
        if (options_.learned) {
            score.key_table = {tape.parameter(*keys_[number]), row_of_distance};
            if (options_.values) score.value_table = {tape.parameter(*values_[number]), row_of_distance};
        } else {
            const Var table = waves(tape, score.dtype);
            score.key_table = {table, row_of_distance};
            if (options_.values) score.value_table = {table, row_of_distance};
        }
    }

private:
    std::int64_t rows() const { return 2 * options_.max_distance + 1; }

    Var waves(Tape& tape, DType dtype) const {
        const Tensor table = tape.host_tensor({rows(), head_dim_}, dtype);
        for (std::int64_t channel = 0; channel < head_dim_; ++channel) {
            const std::int64_t pair = channel / 2;
            const double frequency =
                std::pow(10000.0, -2.0 * static_cast<double>(pair) / static_cast<double>(head_dim_));
            for (std::int64_t row = 0; row < rows(); ++row) {
                const double angle = static_cast<double>(row - options_.max_distance) * frequency;
                const double wave = channel % 2 == 0 ? std::sin(angle) : std::cos(angle);
                if (dtype == DType::float64) {
                    table.as<double>()[row * head_dim_ + channel] = wave;
                } else {
                    table.as<float>()[row * head_dim_ + channel] = static_cast<float>(wave);
                }
            }
        }
        return tape.constant(table);
    }

    ShawOptions options_;
    std::int64_t head_dim_;
    std::vector<std::int32_t> row_of_distance_;
    std::vector<const Parameter*> keys_, values_;  // by layer
};

std::unique_ptr<PositionEncoding> make_shaw(const ModelSettings& model, const PositionSettings& position) {
    const auto max_distance = std::get<std::int64_t>(position.options.at("max_distance"));
    if (max_distance < 1) throw ModelError("model.position.max_distance of shaw must be at least 1");
    return std::make_unique<Shaw>(
        model, ShawOptions{.max_distance = max_distance,
                           .values = std::get<bool>(position.options.at("values")),
                           .learned = std::get<std::string>(position.options.at("vectors")) == "learned"});
}

}  // namespace

EncodingEntry shaw_encoding() {
    return {.name = "shaw",
            .summary = "a vector per distance, added to the key and to the value (Shaw et al.)",
            .options = {{.name = "max_distance",
                         .initial = std::int64_t{16},
                         .choices = {},
                         .help = "further distances share the outermost vectors"},
                        {.name = "values", .initial = true, .choices = {}, .help = "vectors for the values as well"},
                        {.name = "vectors",
                         .initial = std::string("learned"),
                         .choices = {"learned", "sinusoidal"},
                         .help = "what the vectors are"}},
            .terms = {ScoreTerm::key_table, ScoreTerm::value_table},
            .make = make_shaw};
}

}  // namespace locus
