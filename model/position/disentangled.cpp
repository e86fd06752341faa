// disentangled: content and position have vectors of their own, and the score adds what each says about the other. DeBERTa's attention.
//
//   formula        score(i,j) = ( q_i . k_j + q_i . PK[d(i - j)] + k_j . PQ[d(i - j)] [+ PQ[d(i - j)] . PK[d(j - i)]] ) / sqrt( head_dim (1 + terms) )
//                                  content      c2p: content asks      p2c: content is      p2p: what one distance says      terms: how many
//                                               for a distance         asked for one        to the opposite one              of the three
//                  PK = drop(P) W_k^T (+ b_k),  PQ = drop(P) W_q^T + b_q,  P = rel_embeddings, through a layer norm if table_norm
//                  d(r) = clamp(g(r) + k, 0, 2 k - 1), r = query minus key: row 0 is the most negative distance, row k is distance 0
//       buckets 0  g(r) = r, k = max_distance: every distance below k has a row of its own
//       else       k = buckets, m = buckets / 2: g(r) = r up to |r| = m, then
//                  g(r) = sign(r) ( ceil( ln(|r| / m) / ln((max_distance - 1) / m) * (m - 1) ) + m )
//   shapes         P [2 k, hidden], one for all layers; PK, PQ [2 k, heads, head_dim], made anew in each layer
//   parameters     2 k hidden, and if table_norm 2 hidden; per layer, unless share_projections, hidden^2 for PK (and, in architecture deberta-v2,
//                  hidden for b_k) and hidden^2 + hidden for PQ, each where a term needs it
//   cost           c2p and p2c each as much again as q . k on the band of distances that a tile can see, p2p one addition, being a number per
//                  head and distance; and a product of [2 k, hidden] per layer and projection
//   property       the score depends on the contents and on i - j alone, with its sign
//   extrapolation  any length: distances past max_distance share the outermost rows
//   options        terms; max_distance, 0: model.max_length; p2c_index: code reads PQ at d(i - j), as every implementation does, paper at
//                  d(j - i), as equation 4 prints it. DeBERTa v1 is buckets 0 with own projections; v2 and v3 have 256 buckets for 512
//                  positions, share_projections and table_norm: the initial values under architecture deberta-v2
//   source         He et al. 2021, arXiv:2006.03654, section 3, where p2p is the term that equation 2 has and the model leaves out; buckets and
//                  sharing: the authors' code of version 2
#include <algorithm>
#include <cmath>

#include "model/error.h"
#include "model/position/position_encoding.h"

namespace locus {
namespace {

struct DisentangledOptions {
    bool content_to_position, position_to_content, position_to_position, paper_index, share_projections, table_norm;
    std::int64_t buckets, max_distance;

    std::int64_t span() const { return buckets > 0 ? buckets : max_distance; }
    bool has_keys() const { return content_to_position || position_to_position; }
    bool has_queries() const { return position_to_content || position_to_position; }
    int terms() const { return content_to_position + position_to_content + position_to_position; }
};

// g of the formula. The outermost distance is set, since its logarithm is an integer that rounding could miss.
std::int64_t bucket(std::int64_t r, const DisentangledOptions& options) {
    const std::int64_t middle = options.buckets / 2, distance = std::abs(r), last = options.max_distance - 1;
    if (options.buckets == 0 || distance <= middle) return r;
    const auto ratio = [&](std::int64_t a) { return std::log(static_cast<double>(a) / static_cast<double>(middle)); };
    const auto far =
        static_cast<std::int64_t>(std::ceil(ratio(distance) / ratio(last) * static_cast<double>(middle - 1)));
    const std::int64_t magnitude = distance == last ? options.buckets - 1 : far + middle;
    return r > 0 ? magnitude : -magnitude;
}

class Disentangled : public PositionEncoding {
public:
    Disentangled(const ModelSettings& model, const DisentangledOptions& options)
        : options_(options),
          hidden_(model.hidden),
          heads_(model.heads),
          epsilon_(model.layer_norm_epsilon),
          is_v2_(model.architecture == "deberta-v2") {
        const std::int64_t reach = std::max(options.max_distance, options.span());  // further ones are clamped
        for (std::int64_t r = -reach; r <= reach; ++r) row_of_distance_.push_back(row(r));
        for (std::int64_t r = -reach; r <= reach; ++r) row_of_reversed_.push_back(row(-r));
        for (std::int32_t n = 0; n < 2 * options.span(); ++n) table_rows_.push_back(n);
        same_sequence_.resize(table_rows_.size());
    }

    void declare_encoder_parameters(Parameters& parameters, const std::string& prefix) override {
        table_ = &parameters.declare(prefix + "rel_embeddings.weight", {2 * options_.span(), hidden_});
        if (!options_.table_norm) return;
        gamma_ = &parameters.declare(prefix + "LayerNorm.weight", {hidden_}, Initialization::ones);
        beta_ = &parameters.declare(prefix + "LayerNorm.bias", {hidden_}, Initialization::zeros);
    }

    void declare_layer_parameters(Parameters& parameters, const std::string& prefix) override {
        if (options_.share_projections) return;
        Projections& own = projections_.emplace_back();
        const std::string key = prefix + (is_v2_ ? "pos_key_proj" : "pos_proj"),
                          query = prefix + (is_v2_ ? "pos_query_proj" : "pos_q_proj");
        if (options_.has_keys()) own.key_weight = &parameters.declare(key + ".weight", {hidden_, hidden_});
        if (options_.has_keys() && is_v2_)
            own.key_bias = &parameters.declare(key + ".bias", {hidden_}, Initialization::zeros);
        if (!options_.has_queries()) return;
        own.query_weight = &parameters.declare(query + ".weight", {hidden_, hidden_});
        own.query_bias = &parameters.declare(query + ".bias", {hidden_}, Initialization::zeros);
    }

    std::string untrained_rows(std::int64_t length) const override {
        if (options_.max_distance <= length) return {};
        std::vector<bool> reached(table_rows_.size());
        for (std::int64_t r = 1 - length; r < length; ++r) reached[static_cast<std::size_t>(row(r))] = true;
        return describe_unreached(reached, "rel_embeddings");
    }

    void relate(Tape& tape, const LayerContext& layer, const ModelInput&, AttentionScore& score) const override {
        score.scale /= std::sqrt(1.0 + options_.terms());
        if (options_.terms() == 0) return;
        Var table = tape.parameter(*table_);
        if (options_.table_norm)
            table = layer_norm(tape, table, {}, tape.parameter(*gamma_), tape.parameter(*beta_), epsilon_);
        table = dropout(tape, table, layer.table_dropout, {view(same_sequence_), view(table_rows_)});
        const Projections by = projections(layer);
        const Var keys = options_.has_keys() ? project(tape, table, by.key_weight, by.key_bias) : Var();
        const Var queries = options_.has_queries() ? project(tape, table, by.query_weight, by.query_bias) : Var();
        if (options_.content_to_position) score.key_table = {keys, view(row_of_distance_)};
        if (options_.position_to_content)
            score.query_table = {queries, view(options_.paper_index ? row_of_reversed_ : row_of_distance_)};
        if (options_.position_to_position)
            score.add_bias(
                row_products(tape, queries, view(row_of_distance_), keys, view(row_of_reversed_), heads_, score.scale));
    }

private:
    struct Projections {
        const Parameter *key_weight = nullptr, *key_bias = nullptr, *query_weight = nullptr, *query_bias = nullptr;
    };

    static Tensor view(const std::vector<std::int32_t>& values) {
        return Tensor(const_cast<std::int32_t*>(values.data()), {static_cast<std::int64_t>(values.size())},
                      DType::int32);
    }

    std::int32_t row(std::int64_t r) const {
        const std::int64_t span = options_.span();
        return static_cast<std::int32_t>(std::clamp<std::int64_t>(bucket(r, options_) + span, 0, 2 * span - 1));
    }

    Projections projections(const LayerContext& layer) const {
        if (!options_.share_projections) return projections_[static_cast<std::size_t>(layer.number)];
        return {layer.key_weight, layer.key_bias, layer.query_weight, layer.query_bias};
    }

    static Var project(Tape& tape, Var table, const Parameter* weight, const Parameter* bias) {
        return linear(tape, table, tape.parameter(*weight), bias == nullptr ? Var() : tape.parameter(*bias));
    }

    DisentangledOptions options_;
    std::int64_t hidden_, heads_;
    double epsilon_;
    bool is_v2_;
    std::vector<std::int32_t> row_of_distance_, row_of_reversed_, table_rows_, same_sequence_;
    const Parameter *table_ = nullptr, *gamma_ = nullptr, *beta_ = nullptr;
    std::vector<Projections> projections_;  // by layer
};

std::unique_ptr<PositionEncoding> make_disentangled(const ModelSettings& model, const PositionSettings& position) {
    const auto flag = [&](const char* name) { return std::get<bool>(position.options.at(name)); };
    const auto integer = [&](const char* name) { return std::get<std::int64_t>(position.options.at(name)); };
    const std::string terms = std::get<std::string>(position.options.at("terms"));
    DisentangledOptions options = {.content_to_position = terms.find("c2p") != std::string::npos,
                                   .position_to_content = terms.find("p2c") != std::string::npos,
                                   .position_to_position = terms.find("p2p") != std::string::npos,
                                   .paper_index = std::get<std::string>(position.options.at("p2c_index")) == "paper",
                                   .share_projections = flag("share_projections"),
                                   .table_norm = flag("table_norm"),
                                   .buckets = integer("buckets"),
                                   .max_distance = integer("max_distance")};
    if (options.max_distance == 0) options.max_distance = model.max_length;
    if (options.max_distance < 1) throw ModelError("model.position.max_distance of disentangled must not be negative");
    if (options.buckets < 0 || options.buckets % 2 != 0)
        throw ModelError("model.position.buckets of disentangled must be even; 0: a row for each distance");
    if (options.buckets > 0 && options.buckets / 2 >= options.max_distance - 1) {
        throw ModelError("model.position.buckets of disentangled: half of them, " +
                         std::to_string(options.buckets / 2) +
                         ", must be below max_distance - 1 = " + std::to_string(options.max_distance - 1));
    }
    return std::make_unique<Disentangled>(model, options);
}

// Version 2 of DeBERTa has as many buckets for each side as half the distances: 256 for 512.
std::map<std::string, OptionValue> defaults_of_architecture(const ModelSettings& model, const PositionSettings& given) {
    if (model.architecture != "deberta-v2") return {};
    const auto given_distance = std::get<std::int64_t>(given.options.at("max_distance"));
    const std::int64_t distance = given_distance > 0 ? given_distance : model.max_length;
    const std::int64_t buckets = distance / 4 * 2;
    return {{"buckets", buckets / 2 < distance - 1 ? buckets : std::int64_t{0}},
            {"share_projections", true},
            {"table_norm", true}};
}

}  // namespace

EncodingEntry disentangled_encoding() {
    return {.name = "disentangled",
            .summary = "vectors of their own for content and position, and terms between the two (DeBERTa)",
            .options = {{.name = "terms",
                         .initial = std::string("c2p|p2c"),
                         .choices = {"c2p|p2c", "c2p", "p2c", "none", "c2p|p2c|p2p", "c2p|p2p", "p2c|p2p", "p2p"},
                         .help = "content to position, position to content, position to position"},
                        {.name = "max_distance",
                         .initial = std::int64_t{0},
                         .choices = {},
                         .help = "further distances share the outermost rows; 0: model.max_length"},
                        {.name = "buckets",
                         .initial = std::int64_t{0},
                         .choices = {},
                         .help = "for each side, logarithmic beyond their half; 0: a row for each distance"},
                        {.name = "share_projections",
                         .initial = false,
                         .choices = {},
                         .help = "positions are projected by the content's matrices"},
                        {.name = "table_norm", .initial = false, .choices = {}, .help = "a layer norm over the table"},
                        {.name = "p2c_index",
                         .initial = std::string("code"),
                         .choices = {"code", "paper"},
                         .help = "which distance the position-to-content term reads"}},
            .terms = {ScoreTerm::key_table, ScoreTerm::query_table, ScoreTerm::scale},
            .defaults = defaults_of_architecture,
            .make = make_disentangled};
}

}  // namespace locus
