#include <cstring>

#include "model/hugging_face.h"

namespace locus {
namespace {

bool starts_with(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

void replace_beginning(std::string& name, std::string_view from, std::string_view to) {
    if (starts_with(name, from)) name.replace(0, from.size(), to);
}

void replace_ending(std::string& name, std::string_view from, std::string_view to) {
    if (name.size() < from.size() || name.compare(name.size() - from.size(), from.size(), from) != 0) return;
    name.replace(name.size() - from.size(), from.size(), to);
}

bool has(const ModelSettings& settings, const char* encoding) {
    for (const PositionSettings& position : settings.position)
        if (position.encoding == encoding) return true;
    return false;
}

}  // namespace

std::string parameter_name(std::string_view name, const ModelSettings& settings) {
    std::string known(name);
    // The head as DeBERTa's authors, and newer releases of transformers, call it.
    replace_beginning(known, "lm_predictions.lm_head.bias", "cls.predictions.bias");
    replace_beginning(known, "lm_predictions.lm_head.", "cls.predictions.transform.");
    const std::string model = settings.architecture == "bert" ? "bert." : "deberta.";
    const bool is_whole =
        starts_with(known, model) || starts_with(known, "cls.") || starts_with(known, "mask_predictions.");
    if (!is_whole) known.insert(0, model);  // saved from the encoder alone
    replace_ending(known, "LayerNorm.gamma", "LayerNorm.weight");
    replace_ending(known, "LayerNorm.beta", "LayerNorm.bias");
    return known;
}

ForeignTensor classify_foreign(std::string_view name, const ModelSettings& settings) {
    std::string known = parameter_name(name, settings);
    if (known == "cls.predictions.decoder.weight" || known == "cls.predictions.decoder.bias")
        return ForeignTensor::tied_copy;
    for (const char* head : {"cls.seq_relationship.", "mask_predictions."})
        if (starts_with(known, head)) return ForeignTensor::ignored;
    replace_beginning(known, "deberta.", "bert.");
    if (known == "bert.embeddings.position_ids" || starts_with(known, "bert.pooler.")) return ForeignTensor::ignored;
    // transformers keeps BERT's absolute table in models with relative positions, DeBERTa's authors in all; nothing reads it there.
    if (known == "bert.embeddings.position_embeddings.weight" && !has(settings, "absolute")) {
        const bool kept =
            settings.architecture != "bert" || has(settings, "relative_key") || has(settings, "relative_key_query");
        if (kept) return ForeignTensor::ignored;
    }
    return ForeignTensor::unknown;
}

namespace {

// Calls copy(row in [3, heads, head_dim], row in [heads, 3, head_dim]) for every row.
template <class Copy>
void for_rows(std::int64_t rows, std::int64_t heads, const Copy& copy) {
    const std::int64_t head_dim = rows / (3 * heads);
    for (std::int64_t part = 0; part < 3; ++part) {
        for (std::int64_t head = 0; head < heads; ++head) {
            for (std::int64_t d = 0; d < head_dim; ++d)
                copy((part * heads + head) * head_dim + d, (head * 3 + part) * head_dim + d);
        }
    }
}

void copy_row(const Tensor& from, std::int64_t from_row, const Tensor& to, std::int64_t to_row) {
    const auto bytes = static_cast<std::size_t>(from.shape[1] * size_of(from.dtype));
    std::memcpy(static_cast<char*>(to.data) + static_cast<std::size_t>(to_row) * bytes,
                static_cast<const char*>(from.data) + static_cast<std::size_t>(from_row) * bytes, bytes);
}

}  // namespace

void interleave_heads(const Tensor& from, const Tensor& to, std::int64_t heads) {
    for_rows(from.shape[0], heads,
             [&](std::int64_t stacked, std::int64_t interleaved) { copy_row(from, stacked, to, interleaved); });
}

void stack_heads(const Tensor& from, const Tensor& to, std::int64_t heads) {
    for_rows(from.shape[0], heads,
             [&](std::int64_t stacked, std::int64_t interleaved) { copy_row(from, interleaved, to, stacked); });
}

}  // namespace locus
