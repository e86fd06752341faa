#include "model/masked_language_model.h"

#include <cmath>

#include "kernels/random.h"
#include "model/error.h"

namespace locus {

MaskedLanguageModel::MaskedLanguageModel(const ModelSettings& settings, DType arithmetic)
    : settings_(settings),
      bfloat16_products_(arithmetic == DType::bfloat16),
      parameters_(bfloat16_products_ ? DType::float32 : arithmetic),
      encodings_(make_encodings(settings)) {
    if (settings.architecture != "bert") {
        throw ModelError("model.architecture is " + settings.architecture + "; this version has: bert");
    }
    if (settings.hidden % settings.heads != 0) {
        throw ModelError("model.hidden (" + std::to_string(settings.hidden) + ") is not a multiple of model.heads (" +
                         std::to_string(settings.heads) + ")");
    }
    if (settings.vocab_size < 1) throw ModelError("the vocabulary is empty");
    declare_embeddings();
    for (std::int64_t layer = 0; layer < settings.layers; ++layer) declare_layer(layer);
    declare_head();
    parameters_.allocate();
    for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
        const std::string self = "bert.encoder.layer." + std::to_string(layer) + ".attention.self.";
        layers_[layer].qkv_weight =
            joined(*parameters_.find(self + "query.weight"), *parameters_.find(self + "value.weight"));
        layers_[layer].qkv_bias =
            joined(*parameters_.find(self + "query.bias"), *parameters_.find(self + "value.bias"));
        layers_[layer].query_weight = parameters_.find(self + "query.weight");
        layers_[layer].query_bias = parameters_.find(self + "query.bias");
        layers_[layer].key_weight = parameters_.find(self + "key.weight");
        layers_[layer].key_bias = parameters_.find(self + "key.bias");
    }
}

void MaskedLanguageModel::declare_embeddings() {
    const std::string prefix = "bert.embeddings.";
    word_ = &parameters_.declare(prefix + "word_embeddings.weight", {settings_.vocab_size, settings_.hidden});
    word_->zero_row = static_cast<int>(settings_.pad_id);
    for (const auto& encoding : encodings_) encoding->declare_embedding_parameters(parameters_, prefix);
    token_type_ =
        &parameters_.declare(prefix + "token_type_embeddings.weight", {settings_.token_types, settings_.hidden});
    embedding_gamma_ = &parameters_.declare(prefix + "LayerNorm.weight", {settings_.hidden}, Initialization::ones);
    embedding_beta_ = &parameters_.declare(prefix + "LayerNorm.bias", {settings_.hidden}, Initialization::zeros);
}

void MaskedLanguageModel::declare_layer(std::int64_t layer) {
    const std::int64_t hidden = settings_.hidden, wide = settings_.feed_forward;
    const std::string prefix = "bert.encoder.layer." + std::to_string(layer) + ".";
    const auto weight = [&](const std::string& name, std::int64_t out, std::int64_t in) {
        return &parameters_.declare(prefix + name + ".weight", {out, in});
    };
    const auto vector = [&](const std::string& name, std::int64_t size, Initialization fill) {
        return &parameters_.declare(prefix + name, {size}, fill);
    };
    // Side by side, so that the three products are one: the weights are a [3 hidden, hidden] matrix, the biases [3 hidden].
    for (const char* part : {"query", "key", "value"}) weight(std::string("attention.self.") + part, hidden, hidden);
    for (const char* part : {"query", "key", "value"}) {
        vector(std::string("attention.self.") + part + ".bias", hidden, Initialization::zeros);
    }
    for (const auto& encoding : encodings_) {
        encoding->declare_layer_parameters(parameters_, prefix + "attention.self.");
    }
    Layer& parts = layers_.emplace_back();
    parts.attention_output_weight = weight("attention.output.dense", hidden, hidden);
    parts.attention_output_bias = vector("attention.output.dense.bias", hidden, Initialization::zeros);
    parts.attention_gamma = vector("attention.output.LayerNorm.weight", hidden, Initialization::ones);
    parts.attention_beta = vector("attention.output.LayerNorm.bias", hidden, Initialization::zeros);
    parts.intermediate_weight = weight("intermediate.dense", wide, hidden);
    parts.intermediate_bias = vector("intermediate.dense.bias", wide, Initialization::zeros);
    parts.output_weight = weight("output.dense", hidden, wide);
    parts.output_bias = vector("output.dense.bias", hidden, Initialization::zeros);
    parts.output_gamma = vector("output.LayerNorm.weight", hidden, Initialization::ones);
    parts.output_beta = vector("output.LayerNorm.bias", hidden, Initialization::zeros);
}

void MaskedLanguageModel::declare_head() {
    const std::string prefix = "cls.predictions.";
    decoder_bias_ = &parameters_.declare(prefix + "bias", {settings_.vocab_size}, Initialization::zeros);
    const std::string transform = prefix + "transform.";
    transform_weight_ = &parameters_.declare(transform + "dense.weight", {settings_.hidden, settings_.hidden});
    transform_bias_ = &parameters_.declare(transform + "dense.bias", {settings_.hidden}, Initialization::zeros);
    transform_gamma_ = &parameters_.declare(transform + "LayerNorm.weight", {settings_.hidden}, Initialization::ones);
    transform_beta_ = &parameters_.declare(transform + "LayerNorm.bias", {settings_.hidden}, Initialization::zeros);
}

void MaskedLanguageModel::initialize(std::uint32_t seed) { parameters_.initialize(seed, settings_.initializer_range); }

std::int64_t MaskedLanguageModel::longest_sequence() const {
    std::int64_t longest = 0;
    for (const auto& encoding : encodings_) {
        const std::int64_t limit = encoding->longest_sequence();
        if (limit > 0 && (longest == 0 || limit < longest)) longest = limit;
    }
    return longest;
}

Dropout MaskedLanguageModel::dropout_at(Site site, std::int64_t layer, const RunMode& mode) const {
    if (!mode.training) return {};
    const double probability = site == Site::attention ? settings_.attention_dropout : settings_.hidden_dropout;
    return {.probability = static_cast<float>(probability),
            .seed = mode.seed,
            .site = stream_dropout + static_cast<std::uint32_t>(layer) * 8 + static_cast<std::uint32_t>(site),
            .step = mode.step};
}

void MaskedLanguageModel::check_input(const ModelInput& input) const {
    const std::int64_t limit = longest_sequence();
    if (limit == 0 || input.longest <= limit) return;
    throw ModelError("a sequence of " + std::to_string(input.longest) + " tokens is longer than the position table (" +
                     std::to_string(limit) +
                     " rows); shorten it, train with a larger model.max_length, or use an encoding that "
                     "goes on: beyond: clip for a learned table, or sinusoidal");
}

Var MaskedLanguageModel::embeddings(Tape& tape, const ModelInput& input, const RunMode& mode) const {
    const EmbeddingTerm words = {
        .table = tape.parameter(*word_), .ids = input.ids, .skip_entry = static_cast<int>(settings_.pad_id)};
    Tensor types = input.token_types;
    if (!types) {
        types = tape.allocate(input.ids.shape, DType::int32);
        std::fill_n(types.as<std::int32_t>(), types.count(), 0);
    }
    Var x = embedding(tape, {words, {.table = tape.parameter(*token_type_), .ids = types}});
    for (const auto& encoding : encodings_) x = encoding->embed(tape, x, input);
    x = layer_norm(tape, x, {}, tape.parameter(*embedding_gamma_), tape.parameter(*embedding_beta_),
                   settings_.layer_norm_epsilon);
    return dropout(tape, x, dropout_at(Site::embeddings, 0, mode), input.dropout_rows);
}

Var MaskedLanguageModel::self_attention(Tape& tape, std::int64_t layer, Var x, const ModelInput& input,
                                        const RunMode& mode) const {
    const Layer& parts = layers_[static_cast<std::size_t>(layer)];
    const std::int64_t head_dim = settings_.hidden / settings_.heads;
    Var qkv = linear(tape, x, tape.parameter(parts.qkv_weight), tape.parameter(parts.qkv_bias));
    for (const auto& encoding : encodings_) {
        qkv = encoding->rotate(tape, qkv, 2 * settings_.hidden, input.rows.positions, input);
    }
    const HeadColumns q = {qkv, 0}, k = {qkv, settings_.hidden}, value = {qkv, 2 * settings_.hidden};
    AttentionScore score;
    score.dtype = qkv.value().dtype;
    score.scale = 1.0 / std::sqrt(static_cast<double>(head_dim));
    const LayerContext place = {.number = layer,
                                .query_weight = parts.query_weight,
                                .query_bias = parts.query_bias,
                                .key_weight = parts.key_weight,
                                .key_bias = parts.key_bias,
                                .table_dropout = dropout_at(Site::position_table, layer, mode)};
    for (const auto& encoding : encodings_) encoding->relate(tape, place, input, score);
    const Var context = attention(tape, q, k, value, settings_.heads, head_dim, input.rows, input.rows, score,
                                  dropout_at(Site::attention, layer, mode), input.dropout_rows);
    const Var projected = linear(tape, context, tape.parameter(*parts.attention_output_weight),
                                 tape.parameter(*parts.attention_output_bias));
    return layer_norm(tape, projected, x, tape.parameter(*parts.attention_gamma), tape.parameter(*parts.attention_beta),
                      settings_.layer_norm_epsilon, dropout_at(Site::attention_output, layer, mode),
                      input.dropout_rows);
}

Var MaskedLanguageModel::feed_forward(Tape& tape, std::int64_t layer, Var x, const ModelInput& input,
                                      const RunMode& mode) const {
    const Layer& parts = layers_[static_cast<std::size_t>(layer)];
    const Var wide =
        linear_gelu(tape, x, tape.parameter(*parts.intermediate_weight), tape.parameter(*parts.intermediate_bias));
    const Var narrow = linear(tape, wide, tape.parameter(*parts.output_weight), tape.parameter(*parts.output_bias));
    return layer_norm(tape, narrow, x, tape.parameter(*parts.output_gamma), tape.parameter(*parts.output_beta),
                      settings_.layer_norm_epsilon, dropout_at(Site::output, layer, mode), input.dropout_rows);
}

Var MaskedLanguageModel::encode(Tape& tape, const ModelInput& input, const RunMode& mode,
                                const HiddenStateVisitor& visit) const {
    check_input(input);
    tape.set_bfloat16_products(bfloat16_products_);
    const Tape::Mark start = tape.mark();
    Var x = embeddings(tape, input, mode);
    if (visit) visit(0, x.value());
    for (std::int64_t layer = 0; layer < settings_.layers; ++layer) {
        tape.discard(start, x);
        x = feed_forward(tape, layer, self_attention(tape, layer, x, input, mode), input, mode);
        if (visit) visit(layer + 1, x.value());
    }
    tape.discard(start, x);
    return x;
}

Var MaskedLanguageModel::head_transform(Tape& tape, Var x) const {
    const Var dense = linear_gelu(tape, x, tape.parameter(*transform_weight_), tape.parameter(*transform_bias_));
    return layer_norm(tape, dense, {}, tape.parameter(*transform_gamma_), tape.parameter(*transform_beta_),
                      settings_.layer_norm_epsilon);
}

Var MaskedLanguageModel::logits(Tape& tape, Var encoded, Tensor rows) const {
    const Var selected = rows ? gather_rows(tape, encoded, rows) : encoded;
    return linear(tape, head_transform(tape, selected), tape.parameter(*word_), tape.parameter(*decoder_bias_));
}

MaskedLoss MaskedLanguageModel::masked_lm_loss(Tape& tape, const ModelInput& input, const MaskedTargets& targets,
                                               double scale, const RunMode& mode) const {
    const Var encoded = encode(tape, input, mode);
    const Var transformed = head_transform(tape, gather_rows(tape, encoded, targets.rows));
    return masked_cross_entropy(tape, transformed, tape.parameter(*word_), tape.parameter(*decoder_bias_), targets.ids,
                                scale);
}

}  // namespace locus
