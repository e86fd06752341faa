#include "model/cost.h"

#include <algorithm>

#include "model/autograd/tape.h"

namespace locus {
namespace {

// "bert.encoder.layer.3.attention.self.query.weight" -> "attention": the parts that a reader adds up in a paper.
std::string part_of(const std::string& name) {
    const auto contains = [&](const char* piece) { return name.find(piece) != std::string::npos; };
    if (contains("word_embeddings")) return "word embeddings (tied to the output)";
    if (contains("token_type_embeddings")) return "token types";
    for (const char* piece : {"position_", "distance_embedding", "relative_", "rel_embeddings", "content_bias"})
        if (contains(piece)) return "positions";
    if (contains("cls.predictions")) return "masked-LM head";
    if (contains("embed_proj")) return "projection of the embeddings";
    if (contains(".conv.")) return "convolution";
    if (contains("LayerNorm")) return "layer norms";
    if (contains("attention")) return "attention";
    return "feed-forward";
}

// Products of a row with a table of vectors by distance, and with the vectors of the positions, in units of q . k for all pairs. A tile's
// band of distances is about twice as wide as the tile.
std::int64_t position_products(const ModelSettings& settings) {
    std::int64_t count = 0;
    for (const PositionSettings& position : settings.position) {
        for (const ScoreTerm term : find_encoding(position.encoding)->terms) {
            if (term == ScoreTerm::key_table || term == ScoreTerm::query_table || term == ScoreTerm::value_table)
                count += 2;
            if (term == ScoreTerm::position_product) ++count;
        }
    }
    return count;
}

std::int64_t position_parameters(const ModelSettings& settings) {
    Parameters parameters(DType::float32);
    for (const auto& encoding : make_encodings(settings)) {
        encoding->declare_embedding_parameters(parameters, "");
        encoding->declare_encoder_parameters(parameters, "");
        for (std::int64_t layer = 0; layer < settings.layers; ++layer) {
            encoding->declare_layer_parameters(parameters, std::to_string(layer) + ".");
        }
    }
    return parameters.count();
}

}  // namespace

std::vector<std::pair<std::string, std::int64_t>> parameters_by_part(const MaskedLanguageModel& model) {
    std::vector<std::pair<std::string, std::int64_t>> parts;
    for (const Parameter& parameter : model.parameters().all()) {
        const std::string part = part_of(parameter.name);
        const auto found =
            std::find_if(parts.begin(), parts.end(), [&](const auto& entry) { return entry.first == part; });
        if (found == parts.end()) {
            parts.emplace_back(part, parameter.value.count());
        } else {
            found->second += parameter.value.count();
        }
    }
    return parts;
}

double forward_flops(const ModelSettings& settings, std::int64_t tokens, std::int64_t sequence_length,
                     std::int64_t masked) {
    const double hidden = static_cast<double>(settings.hidden), wide = static_cast<double>(settings.feed_forward);
    const double length = static_cast<double>(sequence_length), vocabulary = static_cast<double>(settings.vocab_size);
    const double columns = static_cast<double>(settings.embedding_columns());
    const double linear = 8 * hidden * hidden + 4 * hidden * wide;
    const auto around = static_cast<double>(2 * settings.attention.window + 1);
    const double seen = settings.attention.window > 0 ? std::min(length, around) : length;  // keys of a token
    const double attention = 2 * seen * hidden * static_cast<double>(2 + position_products(settings));
    const double head = 2 * hidden * columns + 2 * columns * vocabulary;
    double per_token = static_cast<double>(settings.layers) * (linear + attention), per_masked = head;
    if (settings
            .has_enhanced_decoder()) {  // the last block has keys and values for all rows, all else for the masked ones
        const double passes = static_cast<double>(settings.decoder_passes), key_value = 4 * hidden * hidden;
        per_token += passes * key_value - (linear + attention);
        per_masked += passes * (linear + attention - key_value);
    }
    if (columns < hidden) per_token += 2 * columns * hidden;
    per_token += 2 * hidden * hidden * static_cast<double>(settings.convolution.kernel);
    return static_cast<double>(tokens) * per_token + static_cast<double>(masked) * per_masked;
}

MemoryEstimate training_memory(const ModelSettings& settings, std::int64_t batch_size, std::int64_t sequence_length,
                               double masked_share, DType stored) {
    const ModelSettings& s = settings;
    const std::int64_t layer = 4 * s.hidden * s.hidden + 2 * s.hidden * s.feed_forward + 9 * s.hidden + s.feed_forward;
    const std::int64_t columns = s.embedding_columns(), projection = columns == s.hidden ? 0 : columns * s.hidden;
    const std::int64_t convolution = s.convolution.kernel * s.hidden * s.hidden + 3 * s.hidden;
    const std::int64_t parameters = s.vocab_size * (columns + 1) + s.token_types * columns + position_parameters(s) +
                                    projection + (s.convolution.kernel > 0 ? convolution : 0) + s.layers * layer +
                                    columns * (s.hidden + 3) + 2 * s.hidden;
    const std::int64_t rows = batch_size * sequence_length;
    const std::int64_t masked = static_cast<std::int64_t>(static_cast<double>(rows) * masked_share);
    // Kept per row and layer: the fused projections (3 H), attention out, two sums, two norm outputs (5 H), and the feed-forward before and
    // after its GELU (2 F). Backward adds the largest gradients: two of width F.
    // Recomputing keeps one row per layer, and the inside of a single layer.
    const std::int64_t inside = 8 * s.hidden + 2 * s.feed_forward;
    const std::int64_t kept = s.recompute ? s.layers * s.hidden + inside : s.layers * inside;
    const std::int64_t numbers = rows * (kept + 2 * s.feed_forward + 3 * s.hidden) + masked * 4 * s.hidden;
    const std::int64_t weight_bytes = size_of(arithmetic_of(stored));
    return {.parameters_and_optimizer = 4 * weight_bytes * parameters,
            .activations = size_of(stored) * numbers + weight_bytes * masked * s.vocab_size};
}

}  // namespace locus
