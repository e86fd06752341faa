#include "model/transformer_block.h"

#include <algorithm>
#include <cmath>

#include "kernels/random.h"

namespace locus {
namespace {

// f of each sequence: log n / log train_length.
Tensor log_length_factors(Tape& tape, const Tensor& offsets, std::int64_t train_length) {
    const Tensor factors = tape.allocate({offsets.count() - 1}, DType::float64);
    const std::int32_t* const begin = offsets.as<std::int32_t>();
    for (std::int64_t s = 0; s < factors.count(); ++s) {
        const double length = std::max(begin[s + 1] - begin[s], 2);
        factors.as<double>()[s] = std::log(length) / std::log(static_cast<double>(train_length));
    }
    return factors;
}

}  // namespace

TransformerBlock::TransformerBlock(const ModelSettings& settings, const PositionEncodings& encodings,
                                   Parameters& parameters, const std::string& prefix, std::int64_t number)
    : settings_(settings), encodings_(encodings), number_(number) {
    const std::int64_t hidden = settings.hidden, wide = settings.feed_forward;
    const auto weight = [&](const std::string& name, std::int64_t out, std::int64_t in) {
        return &parameters.declare(prefix + name + ".weight", {out, in});
    };
    const auto vector = [&](const std::string& name, std::int64_t size, Initialization fill) {
        return &parameters.declare(prefix + name, {size}, fill);
    };
    declare_projections(parameters, prefix + "attention.self.");
    for (const auto& encoding : encodings_) encoding->declare_layer_parameters(parameters, prefix + "attention.self.");
    attention_output_weight_ = weight("attention.output.dense", hidden, hidden);
    attention_output_bias_ = vector("attention.output.dense.bias", hidden, Initialization::zeros);
    attention_gamma_ = vector("attention.output.LayerNorm.weight", hidden, Initialization::ones);
    attention_beta_ = vector("attention.output.LayerNorm.bias", hidden, Initialization::zeros);
    intermediate_weight_ = weight("intermediate.dense", wide, hidden);
    intermediate_bias_ = vector("intermediate.dense.bias", wide, Initialization::zeros);
    output_weight_ = weight("output.dense", hidden, wide);
    output_bias_ = vector("output.dense.bias", hidden, Initialization::zeros);
    output_gamma_ = vector("output.LayerNorm.weight", hidden, Initialization::ones);
    output_beta_ = vector("output.LayerNorm.bias", hidden, Initialization::zeros);
}

// BERT has query, key and value; DeBERTa v2 calls them query_proj, key_proj and value_proj; DeBERTa v1 has one in_proj without a bias, and biases
// for the queries and the values alone.
void TransformerBlock::declare_projections(Parameters& parameters, const std::string& prefix) {
    const std::int64_t hidden = settings_.hidden;
    const auto bias = [&](const std::string& name) {
        return &parameters.declare(prefix + name, {hidden}, Initialization::zeros);
    };
    if (settings_.architecture == "deberta") {
        first_weight_ = last_weight_ = &parameters.declare(prefix + "in_proj.weight", {3 * hidden, hidden});
        first_weight_->heads_interleaved = settings_.heads;
        query_bias_ = bias("q_bias");
        value_bias_ = bias("v_bias");
        return;
    }
    const std::string ending = settings_.architecture == "bert" ? "" : "_proj";
    first_weight_ = &parameters.declare(prefix + "query" + ending + ".weight", {hidden, hidden});
    parameters.declare(prefix + "key" + ending + ".weight", {hidden, hidden});
    last_weight_ = &parameters.declare(prefix + "value" + ending + ".weight", {hidden, hidden});
    query_bias_ = bias("query" + ending + ".bias");
    key_bias_ = bias("key" + ending + ".bias");
    value_bias_ = bias("value" + ending + ".bias");
}

void TransformerBlock::bind() {
    const std::int64_t hidden = settings_.hidden;
    joint_weight_ = joined(*first_weight_, *last_weight_);
    query_weight_ = rows_of(joint_weight_, 0, hidden);
    key_weight_ = rows_of(joint_weight_, hidden, 2 * hidden);
    key_value_weight_ = rows_of(joint_weight_, hidden, 3 * hidden);
    if (key_bias_ == nullptr) return;
    joint_bias_ = joined(*query_bias_, *value_bias_);
    key_value_bias_ = joined(*key_bias_, *value_bias_);
}

Var TransformerBlock::joint_bias(Tape& tape) const {
    if (key_bias_ != nullptr) return tape.parameter(joint_bias_);
    return concatenate(tape,
                       {tape.parameter(*query_bias_), zeros(tape, query_bias_->value), tape.parameter(*value_bias_)});
}

Var TransformerBlock::key_value_bias(Tape& tape) const {
    if (key_bias_ != nullptr) return tape.parameter(key_value_bias_);
    return concatenate(tape, {zeros(tape, value_bias_->value), tape.parameter(*value_bias_)});
}

Dropout TransformerBlock::dropout_at(Site site, std::int64_t pass, const RunMode& mode) const {
    if (!mode.training) return {};
    const double probability = site == Site::attention ? settings_.attention_dropout : settings_.hidden_dropout;
    return {.probability = static_cast<float>(probability),
            .seed = mode.seed,
            .site = stream_dropout + static_cast<std::uint32_t>(number_ + pass) * 8 + static_cast<std::uint32_t>(site),
            .step = mode.step};
}

Var TransformerBlock::self_attend(Tape& tape, Var x, const ModelInput& input, const RunMode& mode) const {
    const std::int64_t hidden = settings_.hidden;
    Var qkv = linear(tape, x, tape.parameter(joint_weight_), joint_bias(tape));
    for (const auto& encoding : encodings_) qkv = encoding->rotate(tape, qkv, 2 * hidden, input.rows.positions, input);
    const BlockRows query = {.x = x, .rows = input.rows, .dropout_rows = input.dropout_rows};
    return finish(tape, {qkv, 0}, {qkv, hidden}, {qkv, 2 * hidden}, query, input, 0, mode);
}

Var TransformerBlock::attend_to(Tape& tape, const BlockRows& query, Var source, const ModelInput& input,
                                std::int64_t pass, const RunMode& mode) const {
    const std::int64_t hidden = settings_.hidden;
    Var q = linear(tape, query.x, tape.parameter(query_weight_), tape.parameter(*query_bias_));
    Var key_value = linear(tape, source, tape.parameter(key_value_weight_), key_value_bias(tape));
    for (const auto& encoding : encodings_) {
        q = encoding->rotate(tape, q, hidden, query.rows.positions, input);
        key_value = encoding->rotate(tape, key_value, hidden, input.rows.positions, input);
    }
    return finish(tape, {q, 0}, {key_value, 0}, {key_value, hidden}, query, input, pass, mode);
}

Var TransformerBlock::finish(Tape& tape, const HeadColumns& q, const HeadColumns& k, const HeadColumns& value,
                             const BlockRows& query, const ModelInput& input, std::int64_t pass,
                             const RunMode& mode) const {
    const std::int64_t head_dim = settings_.hidden / settings_.heads;
    AttentionScore score;
    score.dtype = q.source.value().dtype;
    score.scale = 1.0 / std::sqrt(static_cast<double>(head_dim));
    const LayerContext place = {.number = number_,
                                .query_weight = &query_weight_,
                                .query_bias = query_bias_,
                                .key_weight = &key_weight_,
                                .key_bias = key_bias_,
                                .table_dropout = dropout_at(Site::position_table, pass, mode),
                                .queries = query.rows};
    for (const auto& encoding : encodings_) encoding->relate(tape, place, input, score);
    score.window = settings_.attention.window;
    if (settings_.attention.logn)
        score.sequence_scale = log_length_factors(tape, input.rows.offsets, settings_.train_length);
    const Var context = attention(tape, q, k, value, settings_.heads, head_dim, query.rows, input.rows, score,
                                  dropout_at(Site::attention, pass, mode), query.dropout_rows);
    const Var projected =
        linear(tape, context, tape.parameter(*attention_output_weight_), tape.parameter(*attention_output_bias_));
    const Var a =
        layer_norm(tape, projected, query.x, tape.parameter(*attention_gamma_), tape.parameter(*attention_beta_),
                   settings_.layer_norm_epsilon, dropout_at(Site::attention_output, pass, mode), query.dropout_rows);
    return feed_forward(tape, a, query.dropout_rows, pass, mode);
}

Var TransformerBlock::feed_forward(Tape& tape, Var x, const DropoutRows& rows, std::int64_t pass,
                                   const RunMode& mode) const {
    const Var wide = linear_gelu(tape, x, tape.parameter(*intermediate_weight_), tape.parameter(*intermediate_bias_));
    const Var narrow = linear(tape, wide, tape.parameter(*output_weight_), tape.parameter(*output_bias_));
    return layer_norm(tape, narrow, x, tape.parameter(*output_gamma_), tape.parameter(*output_beta_),
                      settings_.layer_norm_epsilon, dropout_at(Site::output, pass, mode), rows);
}

}  // namespace locus
