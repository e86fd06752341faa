// tupe: positions have matrices of their own and meet each other, not the words; and [CLS] has no position at all. Untied positions.
//
//   formula        score(i,j) = ( x_i W_q . x_j W_k + p_i U_q . p_j U_k ) / sqrt(2 head_dim) + b_h(j - i)
//                  p = layer_norm(position_vectors); b only if relative_bias, as in t5_bias: "TUPE-R", without it "TUPE-A"
//       untie_cls  where i or j is the first token of its sequence, the words alone decide: score(i,j) = (x_i W_q . x_j W_k) / sqrt(2 head_dim),
//                  with t_h added to the product where j is the first and i is not. It looks everywhere, and is seen from everywhere,
//                  alike. The paper's other number, for all pairs with i the first, moves a row of scores as one: no softmax sees it
//   shapes         position_vectors [max_length, hidden], U_q = position_query, U_k = position_key [hidden, hidden], t = position_of_first_key
//                  [1, heads], b = relative_attention_bias [buckets, heads]; all of them for all layers
//   parameters     max_length * hidden + 2 hidden + 2 hidden^2, + heads if untie_cls, + buckets * heads if relative_bias
//   cost           as much again as q . k: the rows of p U_q and p U_k are further channels of q and k, which the value has not; two products
//                  [max_length, hidden, hidden] per layer
//   property       knows absolute positions, yet positions enter through the score alone. In the sum of words and positions (absolute), the
//                  cross terms of a word and a place are there too, and all four share their matrices
//   extrapolation  none: there is no row past the table, sequences longer than max_length are refused
//   details        b is added to all pairs of a distance, so channels of their own take it away again from those with the first token:
//                  (i first) (0 - b(j - i) sqrt(2 head_dim)) + (j first, i not) (t - b(j - i) sqrt(2 head_dim)). The layer norm is in the
//                  authors' code: without it, a product of four small matrices would hardly start to learn
//   source         Ke et al. 2021, arXiv:2006.15595, sections 3.1 and 3.2
#include <cmath>

#include "model/error.h"
#include "model/position/position_encoding.h"
#include "model/position/t5_buckets.h"

namespace locus {
namespace {

struct TupeOptions {
    bool untie_cls, relative_bias;
    T5Buckets buckets;
};

// Some rows of a batch: where each stands, seen from the first token of its sequence.
struct Standing {
    Tensor positions;           // int32 [rows]
    Tensor behind, ahead;       // int32 [rows]: position - first + reach, first - position + reach
    Tensor is_first, is_other;  // float64 [rows]: 1 or 0
};

Standing standing(Tape& tape, const AttentionRows& rows, const ModelInput& input) {
    const std::int64_t count = rows.positions.count(), reach = input.longest - 1;
    const Standing result = {.positions = rows.positions,
                             .behind = tape.host_tensor({count}, DType::int32),
                             .ahead = tape.host_tensor({count}, DType::int32),
                             .is_first = tape.host_tensor({count}, DType::float64),
                             .is_other = tape.host_tensor({count}, DType::float64)};
    const auto *const begin = rows.offsets.as<std::int32_t>(), *const all = input.rows.offsets.as<std::int32_t>();
    for (std::int64_t s = 0; s + 1 < rows.offsets.count(); ++s) {
        for (std::int32_t row = begin[s]; row < begin[s + 1]; ++row) {
            const std::int32_t first = input.rows.positions.as<std::int32_t>()[all[s]];
            const std::int32_t distance = rows.positions.as<std::int32_t>()[row] - first;
            result.behind.as<std::int32_t>()[row] = static_cast<std::int32_t>(reach) + distance;
            result.ahead.as<std::int32_t>()[row] = static_cast<std::int32_t>(reach) - distance;
            result.is_first.as<double>()[row] = distance == 0 ? 1 : 0;
            result.is_other.as<double>()[row] = distance == 0 ? 0 : 1;
        }
    }
    return result;
}

Tensor filled(Tape& tape, std::int64_t count, DType dtype, double value) {
    const Tensor result = tape.host_tensor({count}, dtype);
    for (std::int64_t n = 0; n < count; ++n) {
        if (dtype == DType::int32) result.as<std::int32_t>()[n] = static_cast<std::int32_t>(value);
        if (dtype == DType::float32) result.as<float>()[n] = static_cast<float>(value);
        if (dtype == DType::float64) result.as<double>()[n] = value;
    }
    return result;
}

class Tupe : public PositionEncoding {
public:
    Tupe(const ModelSettings& model, const TupeOptions& options)
        : options_(options),
          hidden_(model.hidden),
          heads_(model.heads),
          length_(model.max_length),
          epsilon_(model.layer_norm_epsilon) {}

    std::int64_t longest_sequence() const override { return length_; }

    void declare_encoder_parameters(Parameters& parameters, const std::string& prefix) override {
        table_ = &parameters.declare(prefix + "position_vectors.weight", {length_, hidden_});
        gamma_ = &parameters.declare(prefix + "position_vectors.LayerNorm.weight", {hidden_}, Initialization::ones);
        beta_ = &parameters.declare(prefix + "position_vectors.LayerNorm.bias", {hidden_}, Initialization::zeros);
        query_weight_ = &parameters.declare(prefix + "position_query.weight", {hidden_, hidden_});
        key_weight_ = &parameters.declare(prefix + "position_key.weight", {hidden_, hidden_});
        if (options_.untie_cls) {
            Parameter& first = parameters.declare(prefix + "position_of_first_key", {1, heads_}, Initialization::zeros);
            first.decay = false;  // a bias
            first_key_ = &first;
        }
        if (options_.relative_bias)
            bias_ = &parameters.declare(prefix + "relative_attention_bias.weight", {options_.buckets.buckets, heads_});
    }

    void relate(Tape& tape, const LayerContext& layer, const ModelInput& input, AttentionScore& score) const override {
        score.scale /= std::sqrt(2.0);
        const Standing queries = standing(tape, layer.queries, input), keys = standing(tape, input.rows, input);
        const Var p =
            layer_norm(tape, tape.parameter(*table_), {}, tape.parameter(*gamma_), tape.parameter(*beta_), epsilon_);
        score.add_channels(absolute(tape, p, *query_weight_, queries), absolute(tape, p, *key_weight_, keys));
        Var by_distance;  // [2 longest - 1, heads]
        if (options_.relative_bias) {
            by_distance = embedding(tape, {{.table = tape.parameter(*bias_),
                                            .ids = options_.buckets.by_distance(tape, input.longest - 1)}});
            score.add_bias(transpose(tape, by_distance));
        }
        if (!options_.untie_cls) return;
        score.add_channels(of_first_key(tape, by_distance, queries, score.scale),
                           mark(tape, keys.is_first, score.dtype));
        if (!by_distance) return;
        const Tensor factors = filled(tape, keys.positions.count(), DType::float64, -1 / score.scale);
        score.add_channels(mark(tape, queries.is_first, score.dtype),
                           embedding(tape, {{.table = by_distance, .ids = keys.ahead, .weights = factors}}));
    }

private:
    // p U at the rows' positions; nothing at the first token if that is untied.
    Var absolute(Tape& tape, Var p, const Parameter& weight, const Standing& rows) const {
        return embedding(tape, {{.table = linear(tape, p, tape.parameter(weight)),
                                 .ids = rows.positions,
                                 .weights = options_.untie_cls ? rows.is_other : Tensor()}});
    }

    // What queries that are not the first token themselves see in the place of its position, t - b / scale, for each head: [rows, heads].
    Var of_first_key(Tape& tape, Var by_distance, const Standing& queries, double scale) const {
        const Tensor zeros = filled(tape, queries.positions.count(), DType::int32, 0);
        const Var t =
            embedding(tape, {{.table = tape.parameter(*first_key_), .ids = zeros, .weights = queries.is_other}});
        if (!by_distance) return t;
        const Tensor factors = tape.host_tensor(queries.is_other.shape, DType::float64);
        for (std::int64_t n = 0; n < factors.count(); ++n)
            factors.as<double>()[n] = -queries.is_other.as<double>()[n] / scale;
        return embedding(tape, {{.table = by_distance, .ids = queries.behind, .weights = factors}}, t);
    }

    // 1 in the rows of first tokens, for each head: [rows, heads].
    Var mark(Tape& tape, const Tensor& is_first, DType dtype) const {
        const Tensor result = filled(tape, is_first.count() * heads_, dtype, 0);
        for (std::int64_t n = 0; n < result.count(); ++n) {
            if (is_first.as<double>()[n / heads_] == 0) continue;
            if (dtype == DType::float64) {
                result.as<double>()[n] = 1;
            } else {
                result.as<float>()[n] = 1;
            }
        }
        return tape.constant(result.reshape({is_first.count(), heads_}));
    }

    TupeOptions options_;
    std::int64_t hidden_, heads_, length_;
    double epsilon_;
    const Parameter *table_ = nullptr, *gamma_ = nullptr, *beta_ = nullptr, *query_weight_ = nullptr,
                    *key_weight_ = nullptr, *first_key_ = nullptr, *bias_ = nullptr;
};

std::unique_ptr<PositionEncoding> make_tupe(const ModelSettings& model, const PositionSettings& position) {
    const auto flag = [&](const char* name) { return std::get<bool>(position.options.at(name)); };
    const TupeOptions options = {
        .untie_cls = flag("untie_cls"),
        .relative_bias = flag("relative_bias"),
        .buckets = {.buckets = std::get<std::int64_t>(position.options.at("buckets")),
                    .max_distance = std::get<std::int64_t>(position.options.at("max_distance"))}};
    if (options.relative_bias) options.buckets.check("tupe");
    return std::make_unique<Tupe>(model, options);
}

}  // namespace

EncodingEntry tupe_encoding() {
    return {.name = "tupe",
            .summary = "positions meet each other by matrices of their own, not the words (TUPE)",
            .options = {{.name = "untie_cls",
                         .initial = true,
                         .choices = {},
                         .help = "no position for the first token of a sequence"},
                        {.name = "relative_bias",
                         .initial = false,
                         .choices = {},
                         .help = "a number per bucket of distances as well: TUPE-R"},
                        {.name = "buckets",
                         .initial = std::int64_t{32},
                         .choices = {},
                         .help = "of relative_bias: half of them for each side"},
                        {.name = "max_distance",
                         .initial = std::int64_t{128},
                         .choices = {},
                         .help = "of relative_bias: from here on all distances share a bucket"}},
            .terms = {ScoreTerm::position_product, ScoreTerm::scale},
            .make = make_tupe};
}

}  // namespace locus
