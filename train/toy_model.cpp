#include "train/toy_model.h"

#include <algorithm>

#include "kernels/memory.h"
#include "train/batch_tensors.h"

namespace locus {
namespace {

constexpr std::int64_t hidden = 8, heads = 4;

// Mean 0 and variance 1, so that the layer norm leaves them; head 0 reads the first two channels.
constexpr double word_vectors[4][hidden] = {{1, 1, 1, -1, 1, -1, -1, -1},
                                            {1, -1, 1, 1, -1, -1, 1, -1},
                                            {-1, 1, -1, 1, 1, -1, 1, -1},
                                            {-1, -1, 1, -1, 1, 1, -1, 1}};

bool only_gives_positions(const std::string& encoding) {
    const EncodingEntry* const entry = find_encoding(encoding);
    return entry != nullptr &&
           std::find(entry->terms.begin(), entry->terms.end(), ScoreTerm::positions) != entry->terms.end();
}

/// Tables of a size to be printed, and waves as large as the words.
PositionSettings small_position(const std::string& encoding) {
    PositionSettings position = default_position(encoding);
    for (auto& [name, value] : position.options) {
        if (auto* const size = std::get_if<std::int64_t>(&value)) *size = std::min<std::int64_t>(*size, 8);
        if (name == "scale") value = 1.0;
    }
    return position;
}

template <class Number>
void set(Parameter& parameter, Number number) {
    for (std::int64_t n = 0; n < parameter.value.count(); ++n) parameter.value.as<double>()[n] = number(n);
}

void set_identity(Parameter& parameter) {
    const std::int64_t columns = parameter.value.shape[1];
    set(parameter, [&](std::int64_t n) { return n / columns == n % columns ? 1.0 : 0.0; });
}

bool is_square(const Tensor& x) { return x.shape.rank() == 2 && x.shape[0] == x.shape[1]; }

/// The parameters that a model has and the same model without encodings has not.
std::vector<Parameter*> position_parameters(MaskedLanguageModel& model) {
    ModelSettings settings = model.settings();
    settings.position = {default_position("none")};
    MaskedLanguageModel without(settings, DType::float64);
    std::vector<Parameter*> own;
    for (Parameter& parameter : model.parameters().all())
        if (without.parameters().find(parameter.name) == nullptr) own.push_back(&parameter);
    return own;
}

void set_weights(MaskedLanguageModel& model) {
    model.initialize(1);  // norms to 1 and 0; what is drawn at random and not set below comes after the attention
    for (Parameter& parameter : model.parameters().all()) {
        const auto ends_in = [&](std::string_view end) { return parameter.name.ends_with(end); };
        if (ends_in("word_embeddings.weight"))
            set(parameter, [](std::int64_t n) { return n < hidden ? 0.0 : word_vectors[n / hidden - 1][n % hidden]; });
        if (ends_in("token_type_embeddings.weight")) set(parameter, [](std::int64_t) { return 0.0; });
        if (ends_in("self.query.weight") || ends_in("self.key.weight") || ends_in("self.value.weight"))
            set_identity(parameter);
    }
    for (Parameter* const parameter : position_parameters(model)) {
        const bool is_norm = parameter->name.find("LayerNorm") != std::string::npos;
        if (is_norm || parameter->initialization == Initialization::ones) continue;
        if (is_square(parameter->value)) {
            set_identity(*parameter);
        } else {
            set(*parameter, [](std::int64_t n) { return static_cast<double>((7 * n + 3) % 11 - 5) / 10; });
        }
    }
}

Matrix matrix_of(const Tensor& x) {
    Matrix rows;
    for (std::int64_t row = 0; row < x.shape[0]; ++row) {
        const double* const begin = x.as<double>() + row * x.strides[0];
        rows.emplace_back(begin, begin + x.shape[-1]);
    }
    return rows;
}

/// Head 0 of [rows, heads, n], or of a table [1 or heads, rows, n].
Matrix first_head(const Tensor& x) {
    Tensor head = x.slice(1, 0, 1);
    head.shape = {x.shape[0], x.shape[2]};
    head.strides = {x.strides[0], x.strides[2]};
    return matrix_of(head);
}

/// Where the entry for a distance stands in a map of 2 reach + 1 entries.
std::int64_t place_of(std::int64_t distance, std::int64_t entries) {
    return std::clamp(distance + entries / 2, std::int64_t{0}, entries - 1);
}

Matrix table_by_distance(const RelativeTable& table, const std::vector<std::int64_t>& distances) {
    Matrix vectors;
    if (!table) return vectors;
    for (const std::int64_t r : distances) {
        const std::int64_t place = place_of(r, table.row_of_distance.count());
        const double* const begin =
            table.rows.as<double>() + table.row_of_distance.as<std::int32_t>()[place] * table.rows.strides[1];
        vectors.emplace_back(begin, begin + table.rows.shape[2]);
    }
    return vectors;
}

ToyLookup lookup_of(const AttentionTerms& terms, const ScoreSummand& summand,
                    const std::vector<std::int64_t>& distances) {
    ToyLookup lookup;
    switch (summand.part) {
        case ScorePart::content:
        case ScorePart::content_bias: break;
        case ScorePart::content_to_position:
        case ScorePart::position_bias: lookup.by_distance = table_by_distance(terms.key_table, distances); break;
        case ScorePart::position_to_content:
            lookup.by_distance = table_by_distance(terms.query_table, distances);
            break;
        case ScorePart::channels:
            lookup.query_channels = first_head(terms.channels[summand.number].query);
            lookup.key_channels = first_head(terms.channels[summand.number].key);
            break;
        case ScorePart::bias:
            for (const std::int64_t r : distances) {
                const Tensor& bias = terms.biases[summand.number];
                lookup.by_distance.push_back({bias.as<double>()[place_of(r, bias.shape[1])]});
            }
            break;
    }
    return lookup;
}

void read_attention(ToyResult& result, const ComputedAttention& computed, const ModelSettings& settings) {
    const AttentionForward& forward = computed.forward;
    result.head = explain_computed(computed, 0, settings);
    result.unrotated = first_head(computed.unrotated_q);
    result.queries = first_head(forward.q);
    result.keys = first_head(forward.k);
    result.values = first_head(forward.value);
    result.out = first_head(forward.out);
    const auto [low, high] = std::minmax_element(result.head.positions.begin(), result.head.positions.end());
    for (std::int64_t r = *low - *high; r <= *high - *low; ++r) result.distances.push_back(r);
    for (const ScoreSummand& summand : result.head.queries[0].summands)
        result.lookups.push_back(lookup_of(forward.terms, summand, result.distances));
    result.values_by_distance = table_by_distance(forward.terms.value_table, result.distances);
}

}  // namespace

const std::vector<std::string>& toy_tokens() {
    static const std::vector<std::string> tokens = {"1", "2", "3", "4"};
    return tokens;
}

ModelSettings toy_settings(const std::string& encoding) {
    ModelSettings settings;
    settings.layers = 1;
    settings.hidden = hidden;
    settings.heads = heads;
    settings.feed_forward = hidden;
    settings.hidden_dropout = settings.attention_dropout = 0;
    settings.max_length = 6;  // not 8: a square table would be the identity, too
    settings.vocab_size = 5;  // [PAD] and the four
    settings.position = {small_position(encoding)};
    if (only_gives_positions(encoding)) settings.position.insert(settings.position.begin(), small_position("absolute"));
    return settings;
}

ToyResult compute_toy(const ModelSettings& settings, bool training) {
    MaskedLanguageModel model(settings, DType::float64);
    set_weights(model);
    const TokenBatch batch = {.ids = {1, 2, 3, 4}, .offsets = {0, 4}, .masked_rows = {}, .targets = {}};
    BatchTensors tensors;
    tensors.fill(batch, 0);
    ToyResult result;
    ForwardVisitor visitor;
    visitor.embedded = [&](std::size_t, const Tensor& before, const Tensor& after) {
        if (result.words.empty()) result.words = matrix_of(before);
        result.placed = matrix_of(after);
    };
    visitor.attended = [&](const ComputedAttention& computed) { read_attention(result, computed, settings); };
    Arena arena;
    Tape tape(arena);
    tape.set_recording(false);
    model.encode(tape, tensors.input(), {.training = training, .seed = 1, .step = 0, .visitor = &visitor});
    return result;
}

std::vector<std::string> toy_position_parameters(const ModelSettings& settings) {
    MaskedLanguageModel model(settings, DType::float64);
    std::vector<std::string> lines;
    for (const Parameter* const parameter : position_parameters(model))
        lines.push_back(parameter->name + " " + parameter->value.shape.to_string());
    return lines;
}

}  // namespace locus
