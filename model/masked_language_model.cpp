#include "model/masked_language_model.h"

#include <algorithm>

#include "kernels/random.h"
#include "model/autograd/recompute.h"
#include "model/error.h"
#include "model/forward_visitor.h"

namespace locus {
namespace {

// Dropout sites of the model itself; those of the blocks follow (transformer_block.cpp), with a number divided by 8 of their own.
constexpr std::uint32_t embeddings_site = stream_dropout, convolution_site = stream_dropout + 7;

ModelSettings completed(ModelSettings settings) {
    complete_positions(settings);
    return settings;
}

Dropout dropout_at(std::uint32_t site, double probability, const RunMode& mode) {
    if (!mode.training) return {};
    return {.probability = static_cast<float>(probability), .seed = mode.seed, .site = site, .step = mode.step};
}

void check_settings(const ModelSettings& settings) {
    const std::string& architecture = settings.architecture;
    if (architecture != "bert" && architecture != "deberta" && architecture != "deberta-v2")
        throw ModelError("model.architecture is " + architecture + "; there are: bert, deberta, deberta-v2");
    if (settings.mask_decoder != "plain" && settings.mask_decoder != "enhanced")
        throw ModelError("model.mask_decoder is " + settings.mask_decoder + "; there are: plain, enhanced");
    if (settings.hidden % settings.heads != 0) {
        throw ModelError("model.hidden (" + std::to_string(settings.hidden) + ") is not a multiple of model.heads (" +
                         std::to_string(settings.heads) + ")");
    }
    if (settings.has_enhanced_decoder() && settings.layers < 2)
        throw ModelError(
            "model.mask_decoder: enhanced reads the output of the last layer but one, so model.layers must be at least "
            "2");
    if (settings.attention.window < 0) throw ModelError("model.attention.window must not be negative");
    if (settings.attention.logn && settings.train_length < 2)
        throw ModelError(
            "model.attention.logn compares the length of a sequence with that of training, which is not known for this "
            "model");
    if (settings.vocab_size < 1) throw ModelError("the vocabulary is empty");
}

// The rows of `input` that `chosen` lists, as queries: their sequences and positions stay what they are.
struct ChosenRows {
    AttentionRows rows;
    DropoutRows dropout_rows;
};

Tensor chosen_of(Tape& tape, const Tensor& values, const Tensor& chosen) {
    if (!values) return {};
    const Tensor result = tape.host_tensor({chosen.count()}, DType::int32);
    const auto *const from = values.as<std::int32_t>(), *const index = chosen.as<std::int32_t>();
    for (std::int64_t n = 0; n < chosen.count(); ++n) result.as<std::int32_t>()[n] = from[index[n]];
    return result;
}

ChosenRows choose(Tape& tape, const ModelInput& input, const Tensor& chosen) {
    const Tensor offsets = tape.host_tensor(input.rows.offsets.shape, DType::int32);
    const auto *const begin = chosen.as<std::int32_t>(), *const end = begin + chosen.count();
    for (std::int64_t s = 0; s < offsets.count(); ++s) {
        const std::int32_t first = input.rows.offsets.as<std::int32_t>()[s];
        offsets.as<std::int32_t>()[s] = static_cast<std::int32_t>(std::lower_bound(begin, end, first) - begin);
    }
    return {
        {offsets, chosen_of(tape, input.rows.positions, chosen)},
        {chosen_of(tape, input.dropout_rows.sequence, chosen), chosen_of(tape, input.dropout_rows.position, chosen)}};
}

}  // namespace

MaskedLanguageModel::MaskedLanguageModel(const ModelSettings& settings, Arithmetic arithmetic)
    : settings_(completed(settings)),
      products_(arithmetic.products),
      parameters_(arithmetic.storage),
      encodings_(make_encodings(settings_)) {
    check_settings(settings_);
    const std::string prefix = settings_.architecture == "bert" ? "bert." : "deberta.", encoder = prefix + "encoder.";
    declare_embeddings(prefix + "embeddings.");
    for (const auto& encoding : encodings_) encoding->declare_encoder_parameters(parameters_, encoder);
    blocks_.reserve(static_cast<std::size_t>(settings_.layers));
    for (std::int64_t layer = 0; layer < settings_.layers; ++layer)
        blocks_.emplace_back(settings_, encodings_, parameters_, encoder + "layer." + std::to_string(layer) + ".",
                             layer);
    if (settings_.convolution.kernel > 0) convolution_.emplace(settings_, parameters_, encoder);
    declare_head();
    parameters_.allocate();
    bind();
}

void MaskedLanguageModel::bind() {
    for (TransformerBlock& block : blocks_) block.bind();
    if (convolution_) convolution_->bind();
}

void MaskedLanguageModel::move_to(Device device) {
    parameters_.move_to(device);
    if (device != Device::cpu && products_ == Rounding::bfloat16) parameters_.keep_rounded();
    bind();
}

void MaskedLanguageModel::declare_embeddings(const std::string& prefix) {
    const std::int64_t hidden = settings_.hidden, columns = settings_.embedding_columns();
    word_ = &parameters_.declare(prefix + "word_embeddings.weight", {settings_.vocab_size, columns});
    word_->zero_row = static_cast<int>(settings_.pad_id);
    for (const auto& encoding : encodings_) encoding->declare_embedding_parameters(parameters_, prefix);
    if (settings_.token_types > 0)
        token_type_ = &parameters_.declare(prefix + "token_type_embeddings.weight", {settings_.token_types, columns});
    if (columns != hidden)
        embedding_projection_ = &parameters_.declare(prefix + "embed_proj.weight", {hidden, columns});
    embedding_gamma_ = &parameters_.declare(prefix + "LayerNorm.weight", {hidden}, Initialization::ones);
    embedding_beta_ = &parameters_.declare(prefix + "LayerNorm.bias", {hidden}, Initialization::zeros);
}

void MaskedLanguageModel::declare_head() {
    const std::string prefix = "cls.predictions.", names = prefix + "transform.";
    const std::int64_t columns = settings_.embedding_columns();
    decoder_bias_ = &parameters_.declare(prefix + "bias", {settings_.vocab_size}, Initialization::zeros);
    transform_weight_ = &parameters_.declare(names + "dense.weight", {columns, settings_.hidden});
    transform_bias_ = &parameters_.declare(names + "dense.bias", {columns}, Initialization::zeros);
    transform_gamma_ = &parameters_.declare(names + "LayerNorm.weight", {columns}, Initialization::ones);
    transform_beta_ = &parameters_.declare(names + "LayerNorm.bias", {columns}, Initialization::zeros);
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

std::vector<std::string> MaskedLanguageModel::untrained_rows(std::int64_t length) const {
    for (const auto& encoding : encodings_) length = std::max(length, encoding->drawn_positions());
    std::vector<std::string> found;
    for (std::size_t n = 0; n < encodings_.size(); ++n) {
        const std::string rows = encodings_[n]->untrained_rows(length);
        if (!rows.empty()) found.push_back(settings_.position[n].encoding + ": " + rows);
    }
    return found;
}

void MaskedLanguageModel::check_input(const ModelInput& input) const {
    const std::int64_t limit = longest_sequence();
    if (limit == 0 || input.longest <= limit) return;
    throw ModelError("a sequence of " + std::to_string(input.longest) + " tokens is longer than the position table (" +
                     std::to_string(limit) +
                     " rows); shorten it, train with a larger model.max_length, or use an encoding that "
                     "goes on: beyond: clip for a learned table, or sinusoidal");
}

ModelInput MaskedLanguageModel::renumbered(Tape& tape, const ModelInput& input, const RunMode& mode) const {
    ModelInput result = input;
    check_input(input);
    tape.enter(Phase::position_encoding);
    for (const auto& encoding : encodings_) result = encoding->renumber(tape, result, mode);
    const std::int64_t limit = longest_sequence();
    if (limit > 0 && result.longest > limit)
        throw ModelError("model.position gives tokens positions up to " + std::to_string(result.longest - 1) +
                         ", and the position table has " + std::to_string(limit) +
                         " rows; raise model.max_length, or lower the range of randomized or the offsets of shape");
    return result;
}

Var MaskedLanguageModel::embeddings(Tape& tape, const ModelInput& input, const RunMode& mode) const {
    tape.enter(Phase::embedding);
    const EmbeddingTerm words = {
        .table = tape.parameter(*word_), .ids = input.ids, .skip_entry = static_cast<int>(settings_.pad_id)};
    Var x;
    if (token_type_ == nullptr) {
        x = embedding(tape, {words});
    } else {
        Tensor types = input.token_types;
        if (!types) {
            types = tape.host_tensor(input.ids.shape, DType::int32);
            std::fill_n(types.as<std::int32_t>(), types.count(), 0);
        }
        x = embedding(tape, {words, {.table = tape.parameter(*token_type_), .ids = types}});
    }
    tape.enter(Phase::position_encoding);
    for (std::size_t n = 0; n < encodings_.size(); ++n) {
        const Var before = x;
        x = encodings_[n]->embed(tape, x, input);
        if (mode.visitor != nullptr && mode.visitor->embedded) mode.visitor->embedded(n, before.value(), x.value());
    }
    tape.enter(Phase::embedding);
    if (embedding_projection_ != nullptr) x = linear(tape, x, tape.parameter(*embedding_projection_));
    tape.enter(Phase::layer_norm);
    x = layer_norm(tape, x, {}, tape.parameter(*embedding_gamma_), tape.parameter(*embedding_beta_),
                   settings_.layer_norm_epsilon);
    x = dropout(tape, x, dropout_at(embeddings_site, settings_.hidden_dropout, mode), input.dropout_rows);
    // Up to here everything is computed once, not for each block: sums of embeddings, and whatever encodings add to them, are not rounded.
    return convert(tape, x, tape.activation_dtype(x.value().dtype));
}

Var MaskedLanguageModel::encode(Tape& tape, const ModelInput& input, const RunMode& mode,
                                const HiddenStateVisitor& visit) const {
    return encode_renumbered(tape, renumbered(tape, input, mode), mode, visit);
}

Var MaskedLanguageModel::encode_renumbered(Tape& tape, const ModelInput& input, const RunMode& mode,
                                           const HiddenStateVisitor& visit) const {
    tape.set_rounding(products_);
    parameters_.round();
    const Tape::Mark start = tape.mark();
    Var x = embeddings(tape, input, mode);
    if (visit) visit(0, x.value());
    const std::int64_t last = settings_.has_enhanced_decoder() ? settings_.layers - 1 : settings_.layers;
    for (std::int64_t layer = 0; layer < last; ++layer) {
        tape.discard(start, x);
        x = run_block(tape, std::array{x}, mode, [this, layer, input, mode](Tape& run, const std::array<Var, 1>& in) {
            return run_layer(run, layer, in[0], input, mode);
        });
        if (visit) visit(layer + 1, x.value());
    }
    if (visit && last < settings_.layers)
        visit(settings_.layers, blocks_.back().self_attend(tape, x, input, mode).value());
    tape.discard(start, x);
    return x;
}

// A block, and beside the first one the convolution.
Var MaskedLanguageModel::run_layer(Tape& tape, std::int64_t number, Var x, const ModelInput& input,
                                   const RunMode& mode) const {
    const Var y = blocks_[static_cast<std::size_t>(number)].self_attend(tape, x, input, mode);
    if (number > 0 || !convolution_) return y;
    return convolution_->forward(tape, x, y, input, dropout_at(convolution_site, settings_.hidden_dropout, mode));
}

// Whoever looks on sees a block once: with a visitor nothing is recomputed.
template <std::size_t N, class Function>
Var MaskedLanguageModel::run_block(Tape& tape, const std::array<Var, N>& inputs, const RunMode& mode,
                                   Function block) const {
    return settings_.recompute && mode.visitor == nullptr ? recompute(tape, inputs, block) : block(tape, inputs);
}

Var MaskedLanguageModel::decode(Tape& tape, Var encoded, const ModelInput& input, Tensor rows,
                                const RunMode& mode) const {
    tape.enter(Phase::head_transform);
    const ChosenRows chosen = rows ? choose(tape, input, rows) : ChosenRows{input.rows, input.dropout_rows};
    Var z = rows ? gather_rows(tape, encoded, rows) : encoded;
    tape.enter(Phase::position_encoding);
    for (const auto& encoding : encodings_) z = encoding->decode(tape, z, chosen.rows.positions, input);
    if (!settings_.has_enhanced_decoder()) return z;
    for (std::int64_t pass = 0; pass < settings_.decoder_passes; ++pass) {
        z = run_block(tape, std::array{z, encoded}, mode,
                      [this, chosen, input, pass, mode](Tape& run, const std::array<Var, 2>& in) {
                          const BlockRows query = {in[0], chosen.rows, chosen.dropout_rows};
                          return blocks_.back().attend_to(run, query, in[1], input, pass, mode);
                      });
    }
    return z;
}

Var MaskedLanguageModel::transform(Tape& tape, Var x) const {
    tape.enter(Phase::head_transform);
    const Var activated = linear_gelu(tape, x, tape.parameter(*transform_weight_), tape.parameter(*transform_bias_));
    tape.enter(Phase::layer_norm);
    return layer_norm(tape, activated, {}, tape.parameter(*transform_gamma_), tape.parameter(*transform_beta_),
                      settings_.layer_norm_epsilon);
}

Var MaskedLanguageModel::logits(Tape& tape, Var encoded, const ModelInput& input, Tensor rows,
                                const RunMode& mode) const {
    const Var decoded = decode(tape, encoded, renumbered(tape, input, mode), rows, mode);
    const Var transformed = transform(tape, decoded);
    tape.enter(Phase::head_product);
    const Var wide = convert(tape, transformed, arithmetic_of(transformed.value().dtype));
    return linear(tape, wide, tape.parameter(*word_), tape.parameter(*decoder_bias_));
}

MaskedLoss MaskedLanguageModel::masked_lm_loss(Tape& tape, const ModelInput& input, const MaskedTargets& targets,
                                               double scale, const RunMode& mode) const {
    const ModelInput placed = renumbered(tape, input, mode);
    const Var encoded = encode_renumbered(tape, placed, mode, {});
    const Var decoded = decode(tape, encoded, placed, targets.rows, mode);
    const Var transformed = transform(tape, decoded);
    tape.enter(Phase::head_product);
    return masked_cross_entropy(tape, transformed, tape.parameter(*word_), tape.parameter(*decoder_bias_), targets.ids,
                                scale);
}

}  // namespace locus
