#include "model/transformer_block.h"

#include <algorithm>
#include <cmath>

#include "kernels/device.h"
#include "kernels/random.h"
#include "model/forward_visitor.h"

namespace locus {
namespace {

// f of each sequence: log n / log train_length.
Tensor log_length_factors(Tape& tape, const Tensor& offsets, std::int64_t train_length) {
    const Tensor factors = tape.host_tensor({offsets.count() - 1}, DType::float64);
    const std::int32_t* const begin = offsets.as<std::int32_t>();
    for (std::int64_t s = 0; s < factors.count(); ++s) {
        const double length = std::max(begin[s + 1] - begin[s], 2);
        factors.as<double>()[s] = std::log(length) / std::log(static_cast<double>(train_length));
    }
    return factors;
}

// Notes that encoding `number` is the one that added what is new in `score`.
void note_new_terms(ComputedAttention& computed, const AttentionScore& score, std::size_t number) {
    const auto count = [](const auto& places, auto is_taken) {
        return static_cast<std::size_t>(std::count_if(places.begin(), places.end(), is_taken));
    };
    computed.bias_encodings.resize(count(score.biases, [](const Var& bias) { return bool(bias); }), number);
    computed.channel_encodings.resize(count(score.channels, [](const ChannelTerm& one) { return bool(one.query); }),
                                      number);
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

// Encodings may turn x where it stands; a visitor sees what it was before as well.
TransformerBlock::Rotated TransformerBlock::rotate(Tape& tape, Var x, std::int64_t columns, Tensor positions,
                                                   const ModelInput& input, const RunMode& mode) const {
    tape.enter(Phase::position_encoding);
    Var before = x;
    if (mode.visitor != nullptr) {
        const Tensor copy = tape.allocate(x.shape(), x.value().dtype);
        locus::copy(x.value(), copy);
        before = tape.constant(copy);
    }
    Var rotated = x;
    for (const auto& encoding : encodings_) rotated = encoding->rotate(tape, rotated, columns, positions, input);
    return {rotated, rotated == x ? x : before};
}

Var TransformerBlock::self_attend(Tape& tape, Var x, const ModelInput& input, const RunMode& mode) const {
    const std::int64_t hidden = settings_.hidden;
    tape.enter(Phase::query_key_value);
    const Var projected = linear(tape, x, tape.parameter(joint_weight_), joint_bias(tape));
    const auto [qkv, unrotated] = rotate(tape, projected, 2 * hidden, input.rows.positions, input, mode);
    const BlockRows query = {.x = x, .rows = input.rows, .dropout_rows = input.dropout_rows};
    const Projections projections = {{qkv, 0}, {qkv, hidden}, {qkv, 2 * hidden}, {unrotated, 0}, {unrotated, hidden}};
    return finish(tape, attend(tape, projections, query, input, 0, mode), query, 0, mode);
}

Var TransformerBlock::attend_to(Tape& tape, const BlockRows& query, Var source, const ModelInput& input,
                                std::int64_t pass, const RunMode& mode) const {
    const std::int64_t hidden = settings_.hidden;
    tape.enter(Phase::query_key_value);
    const Var projected_q = linear(tape, query.x, tape.parameter(query_weight_), tape.parameter(*query_bias_));
    const Var projected_k = linear(tape, source, tape.parameter(key_value_weight_), key_value_bias(tape));
    const auto [q, unrotated_q] = rotate(tape, projected_q, hidden, query.rows.positions, input, mode);
    const auto [key_value, unrotated_k] = rotate(tape, projected_k, hidden, input.rows.positions, input, mode);
    const Projections projections = {{q, 0}, {key_value, 0}, {key_value, hidden}, {unrotated_q, 0}, {unrotated_k, 0}};
    return finish(tape, attend(tape, projections, query, input, pass, mode), query, pass, mode);
}

Var TransformerBlock::attend(Tape& tape, const Projections& projections, const BlockRows& query,
                             const ModelInput& input, std::int64_t pass, const RunMode& mode) const {
    const std::int64_t heads = settings_.heads, head_dim = settings_.hidden / heads;
    AttentionScore score;
    score.dtype = arithmetic_of(projections.q.source.value().dtype);
    score.scale = 1.0 / std::sqrt(static_cast<double>(head_dim));
    const LayerContext place = {.number = number_,
                                .query_weight = &query_weight_,
                                .query_bias = query_bias_,
                                .key_weight = &key_weight_,
                                .key_bias = key_bias_,
                                .table_dropout = dropout_at(Site::position_table, pass, mode),
                                .queries = query.rows};
    tape.enter(Phase::position_encoding);
    ComputedAttention computed = {.layer = number_, .pass = pass};
    for (std::size_t n = 0; n < encodings_.size(); ++n) {
        encodings_[n]->relate(tape, place, input, score);
        if (mode.visitor != nullptr) note_new_terms(computed, score, n);
    }
    tape.enter(Phase::attention);
    score.window = settings_.attention.window;
    if (settings_.attention.logn)
        score.sequence_scale = log_length_factors(tape, input.rows.offsets, settings_.train_length);
    const Var context = attention(tape, projections.q, projections.k, projections.value, heads, head_dim, query.rows,
                                  input.rows, score, dropout_at(Site::attention, pass, mode), query.dropout_rows,
                                  mode.visitor != nullptr ? &computed.forward : nullptr);
    if (mode.visitor != nullptr && mode.visitor->attended) {
        computed.unrotated_q = projections.unrotated_q.as_heads(heads, head_dim);
        computed.unrotated_k = projections.unrotated_k.as_heads(heads, head_dim);
        mode.visitor->attended(computed);
    }
    return context;
}

Var TransformerBlock::finish(Tape& tape, Var context, const BlockRows& query, std::int64_t pass,
                             const RunMode& mode) const {
    tape.enter(Phase::attention_output);
    const Var projected =
        linear(tape, context, tape.parameter(*attention_output_weight_), tape.parameter(*attention_output_bias_));
    tape.enter(Phase::layer_norm);
    const Var a = layer_norm_in_place(tape, projected, query.x, tape.parameter(*attention_gamma_),
                                      tape.parameter(*attention_beta_), settings_.layer_norm_epsilon,
                                      dropout_at(Site::attention_output, pass, mode), query.dropout_rows);
    return feed_forward(tape, a, query.dropout_rows, pass, mode);
}

Var TransformerBlock::feed_forward(Tape& tape, Var x, const DropoutRows& rows, std::int64_t pass,
                                   const RunMode& mode) const {
    tape.enter(Phase::feed_forward);
    const Var wide = linear_gelu(tape, x, tape.parameter(*intermediate_weight_), tape.parameter(*intermediate_bias_));
    const Var narrow = linear(tape, wide, tape.parameter(*output_weight_), tape.parameter(*output_bias_));
    tape.enter(Phase::layer_norm);
    return layer_norm_in_place(tape, narrow, x, tape.parameter(*output_gamma_), tape.parameter(*output_beta_),
                               settings_.layer_norm_epsilon, dropout_at(Site::output, pass, mode), rows);
}

}  // namespace locus
