#include <algorithm>
#include <nlohmann/json.hpp>

#include "model/error.h"
#include "model/hugging_face.h"
#include "model/position/position_encoding.h"

namespace locus {
namespace {

using Json = nlohmann::ordered_json;

const PositionSettings* find(const ModelSettings& settings, std::string_view encoding) {
    for (const PositionSettings& position : settings.position)
        if (position.encoding == encoding) return &position;
    return nullptr;
}

template <class T>
T option(const PositionSettings& position, const char* name) {
    return std::get<T>(position.options.at(name));
}

bool is_alone(const ModelSettings& settings, const char* encoding) {
    return settings.position.size() == 1 && settings.position[0].encoding == encoding;
}

bool is_at_input(const PositionSettings* absolute) {
    return absolute != nullptr && option<std::string>(*absolute, "site") == "input";
}

// Only the learned absolute table is the same in every release of `transformers`. Release 5 dropped relative_key and would load such a
// checkpoint as an absolute one without a word, so it does not get the name "bert".
bool is_exactly_bert(const ModelSettings& settings) {
    return is_alone(settings, "absolute") && is_at_input(&settings.position[0]) && settings.token_types > 0 &&
           settings.embedding_columns() == settings.hidden && settings.convolution.kernel == 0;
}

bool is_exactly_deberta(const ModelSettings& settings) {
    const PositionSettings *const absolute = find(settings, "absolute"), *const disentangled =
                                                                             find(settings, "disentangled");
    const auto known = static_cast<std::size_t>((absolute != nullptr) + (disentangled != nullptr));
    if (settings.position.size() != known || (absolute != nullptr && !is_at_input(absolute))) return false;
    const bool is_v1 = settings.architecture == "deberta";
    if (is_v1 && settings.convolution.kernel > 0) return false;
    if (disentangled == nullptr) return true;
    const bool has_v2_parts = option<std::int64_t>(*disentangled, "buckets") > 0 ||
                              option<bool>(*disentangled, "share_projections") ||
                              option<bool>(*disentangled, "table_norm");
    return option<std::string>(*disentangled, "p2c_index") == "code" &&
           option<std::string>(*disentangled, "terms").find("p2p") == std::string::npos && !(is_v1 && has_v2_parts);
}

bool is_exact(const ModelSettings& settings) {
    if (settings.has_enhanced_decoder() || settings.attention.window > 0 || settings.attention.logn) return false;
    return settings.architecture == "bert" ? is_exactly_bert(settings) : is_exactly_deberta(settings);
}

std::vector<std::string> split_terms(std::string text) {
    std::vector<std::string> terms;
    for (std::size_t bar = 0; !text.empty(); text = bar == std::string::npos ? "" : text.substr(bar + 1)) {
        bar = text.find('|');
        terms.push_back(text.substr(0, bar));
    }
    return terms;
}

// ---- our own keys ---------------------------------------------------------------------------------------------------------------------

Json position_to_json(const std::vector<PositionSettings>& list) {
    Json positions = Json::array();
    for (const PositionSettings& position : list) {
        Json entry = {{"encoding", position.encoding}};
        for (const auto& [name, value] : position.options) {
            std::visit([&entry, &name = name](const auto& held) { entry[name] = held; }, value);
        }
        positions.push_back(entry);
    }
    return positions;
}

// The value of an option in the type that its encoding declares.
OptionValue option_from_json(const Json& value, const OptionValue& like) {
    if (std::holds_alternative<bool>(like)) return value.get<bool>();
    if (std::holds_alternative<std::int64_t>(like)) return value.get<std::int64_t>();
    if (std::holds_alternative<double>(like)) return value.get<double>();
    return value.get<std::string>();
}

std::vector<PositionSettings> position_from_json(const Json& list) {
    std::vector<PositionSettings> positions;
    for (const Json& entry : list) {
        PositionSettings position = default_position(entry.at("encoding").get<std::string>());
        for (const auto& [name, value] : entry.items()) {
            if (name == "encoding") continue;
            const auto option = position.options.find(name);
            if (option == position.options.end()) {
                throw ModelError("config.json: " + position.encoding + " has no option " + name);
            }
            option->second = option_from_json(value, option->second);
        }
        positions.push_back(position);
    }
    return positions;
}

Json own_keys(const ModelSettings& settings) {
    return {{"architecture", settings.architecture},
            {"position", position_to_json(settings.position)},
            {"mask_decoder", settings.mask_decoder},
            {"decoder_passes", settings.decoder_passes},
            {"attention", {{"window", settings.attention.window}, {"logn", settings.attention.logn}}},
            {"train_length", settings.train_length}};
}

void read_own_keys(const Json& own, ModelSettings& settings) {
    settings.architecture = own.value("architecture", settings.architecture);
    settings.position = position_from_json(own.at("position"));
    settings.mask_decoder = own.value("mask_decoder", settings.mask_decoder);
    settings.decoder_passes = own.value("decoder_passes", settings.decoder_passes);
    const Json attention = own.value("attention", Json::object());
    settings.attention.window = attention.value("window", settings.attention.window);
    settings.attention.logn = attention.value("logn", settings.attention.logn);
    settings.train_length = own.value("train_length", settings.train_length);
}

// ---- reading --------------------------------------------------------------------------------------------------------------------------

void refuse(const std::string& key, const Json& found, const std::string& known) {
    throw ModelError("config.json: " + key + " is " + found.dump() + "; this version has: " + known);
}

// The parts of a configuration that change the arithmetic and that we do not have.
void check_supported(const Json& json) {
    const Json activation = json.value("hidden_act", Json("gelu"));
    if (activation != "gelu") refuse("hidden_act", activation, "gelu (the erf form)");
    if (json.value("is_decoder", false)) refuse("is_decoder", true, "false");
    if (json.value("add_cross_attention", false)) refuse("add_cross_attention", true, "false");
    if (!json.value("tie_word_embeddings", true)) refuse("tie_word_embeddings", false, "true");
    if (json.value("talking_head", false)) refuse("talking_head", true, "false");
    if (json.value("conv_groups", 1) != 1) refuse("conv_groups", json["conv_groups"], "1");
    const int hidden = json.at("hidden_size"), heads = json.at("num_attention_heads");
    if (json.contains("attention_head_size") && json["attention_head_size"].is_number() &&
        json["attention_head_size"].get<int>() * heads != hidden)
        refuse("attention_head_size", json["attention_head_size"], "hidden_size / num_attention_heads");
}

std::vector<PositionSettings> bert_position(const Json& json) {
    const std::string type = json.value("position_embedding_type", "absolute");
    if (type != "absolute" && type != "relative_key" && type != "relative_key_query") {
        refuse("position_embedding_type", type, "absolute, relative_key, relative_key_query");
    }
    return {default_position(type)};
}

// pos_att_type is a list or a text with bars, in any order; null and "none" are no term.
std::string terms_from_json(const Json& json) {
    if (!json.contains("pos_att_type") || json["pos_att_type"].is_null()) return "none";
    const Json& value = json["pos_att_type"];
    std::vector<std::string> given =
        value.is_string() ? split_terms(value.get<std::string>()) : value.get<std::vector<std::string>>();
    std::string terms;
    for (const char* term : {"c2p", "p2c"}) {
        const auto found = std::find(given.begin(), given.end(), term);
        if (found == given.end()) continue;
        given.erase(found);
        terms += (terms.empty() ? "" : "|") + std::string(term);
    }
    for (const std::string& rest : given)
        if (rest != "none" && !rest.empty()) refuse("pos_att_type", value, "c2p, p2c");
    return terms.empty() ? "none" : terms;
}

std::vector<PositionSettings> deberta_position(const Json& json) {
    std::vector<PositionSettings> positions;
    if (json.value("position_biased_input", true)) positions.push_back(default_position("absolute"));
    const std::string terms = terms_from_json(json);
    if (json.value("relative_attention", false)) {
        PositionSettings& disentangled = positions.emplace_back(default_position("disentangled"));
        disentangled.options["terms"] = terms;
        disentangled.options["max_distance"] = std::max<std::int64_t>(0, json.value("max_relative_positions", -1));
        disentangled.options["buckets"] = std::max<std::int64_t>(0, json.value("position_buckets", -1));
        disentangled.options["share_projections"] = json.value("share_att_key", false);
        disentangled.options["table_norm"] =
            json.value("norm_rel_ebd", std::string("none")).find("layer_norm") != std::string::npos;
    } else if (terms != "none") {
        // The reference then divides the score by the square root of the number of terms without having the terms.
        refuse("relative_attention", false, "true where pos_att_type is given");
    }
    if (positions.empty()) positions.push_back(default_position("none"));
    return positions;
}

void read_deberta(const Json& json, ModelSettings& settings) {
    settings.token_types = json.value("type_vocab_size", 0);
    settings.layer_norm_epsilon = json.value("layer_norm_eps", 1e-7);
    settings.embedding_size = json.value("embedding_size", std::int64_t{0});
    if (settings.embedding_size == settings.hidden) settings.embedding_size = 0;
    if (settings.embedding_size != 0 && !json.value("legacy", true))
        refuse("legacy", false, "true where embedding_size is not hidden_size");
    settings.convolution.kernel = json.value("conv_kernel_size", std::int64_t{0});
    settings.convolution.activation = json.value("conv_act", std::string("tanh"));
    settings.position = deberta_position(json);
}

ModelSettings settings_from_json(const Json& json) {
    const std::string type = json.value("model_type", "bert");
    if (type != "bert" && type != "deberta" && type != "deberta-v2" && type != "locus")
        refuse("model_type", type, "bert, deberta, deberta-v2, locus");
    check_supported(json);
    ModelSettings settings;
    settings.architecture = type == "locus" ? json.at("locus").value("architecture", "bert") : type;
    settings.layers = json.at("num_hidden_layers");
    settings.hidden = json.at("hidden_size");
    settings.heads = json.at("num_attention_heads");
    settings.feed_forward = json.at("intermediate_size");
    settings.hidden_dropout = json.value("hidden_dropout_prob", 0.1);
    settings.attention_dropout = json.value("attention_probs_dropout_prob", 0.1);
    settings.max_length = json.value("max_position_embeddings", 512);
    settings.token_types = json.value("type_vocab_size", 2);
    settings.layer_norm_epsilon = json.value("layer_norm_eps", 1e-12);
    settings.initializer_range = json.value("initializer_range", 0.02);
    settings.vocab_size = json.at("vocab_size");
    settings.pad_id =
        json.contains("pad_token_id") && !json["pad_token_id"].is_null() ? json["pad_token_id"].get<int>() : -1;
    if (json.contains("locus")) {
        settings.embedding_size = json.value("embedding_size", std::int64_t{0});
        settings.convolution.kernel = json.value("conv_kernel_size", std::int64_t{0});
        settings.convolution.activation = json.value("conv_act", std::string("tanh"));
        read_own_keys(json.at("locus"), settings);
    } else if (settings.architecture == "bert") {
        settings.position = bert_position(json);
    } else {
        read_deberta(json, settings);
    }
    return settings;
}

// ---- writing --------------------------------------------------------------------------------------------------------------------------

void write_bert(const ModelSettings& settings, Json& json) {
    if (is_exact(settings)) json["architectures"] = {"BertForMaskedLM"};
    if (is_alone(settings, "absolute")) json["position_embedding_type"] = "absolute";
    // For BertForMaskedLM of release 4, asked for by its class: the same arithmetic under the same tensor names.
    for (const char* type : {"relative_key", "relative_key_query"}) {
        if (is_alone(settings, type)) json["position_embedding_type"] = type;
    }
}

// Every key is written: the defaults of transformers describe no released DeBERTa.
void write_deberta(const ModelSettings& settings, Json& json) {
    const bool is_v1 = settings.architecture == "deberta";
    if (is_exact(settings)) json["architectures"] = {is_v1 ? "DebertaForMaskedLM" : "DebertaV2ForMaskedLM"};
    const PositionSettings* const disentangled = find(settings, "disentangled");
    json["relative_attention"] = disentangled != nullptr;
    json["position_biased_input"] = is_at_input(find(settings, "absolute"));
    json["pos_att_type"] = Json::array();
    json["legacy"] = true;  // the names of the head's tensors
    if (disentangled == nullptr) return;
    const std::string terms = option<std::string>(*disentangled, "terms");
    if (terms != "none") json["pos_att_type"] = split_terms(terms);
    const auto distance = option<std::int64_t>(*disentangled, "max_distance");
    json["max_relative_positions"] = distance == 0 ? -1 : distance;
    if (is_v1) return;
    const auto buckets = option<std::int64_t>(*disentangled, "buckets");
    json["position_buckets"] = buckets == 0 ? -1 : buckets;
    json["share_att_key"] = option<bool>(*disentangled, "share_projections");
    json["norm_rel_ebd"] = option<bool>(*disentangled, "table_norm") ? "layer_norm" : "none";
}

}  // namespace

std::string hugging_face_config(const ModelSettings& settings) {
    Json json;
    json["model_type"] = is_exact(settings) ? settings.architecture : "locus";
    json["vocab_size"] = settings.vocab_size;
    json["hidden_size"] = settings.hidden;
    json["num_hidden_layers"] = settings.layers;
    json["num_attention_heads"] = settings.heads;
    json["intermediate_size"] = settings.feed_forward;
    json["hidden_act"] = "gelu";
    json["hidden_dropout_prob"] = settings.hidden_dropout;
    json["attention_probs_dropout_prob"] = settings.attention_dropout;
    json["max_position_embeddings"] = settings.max_length;
    json["type_vocab_size"] = settings.token_types;
    json["initializer_range"] = settings.initializer_range;
    json["layer_norm_eps"] = settings.layer_norm_epsilon;
    json["pad_token_id"] = settings.pad_id;
    if (settings.architecture == "bert") {
        write_bert(settings, json);
    } else {
        write_deberta(settings, json);
    }
    if (settings.embedding_columns() != settings.hidden) json["embedding_size"] = settings.embedding_size;
    if (settings.convolution.kernel > 0) {
        json["conv_kernel_size"] = settings.convolution.kernel;
        json["conv_act"] = settings.convolution.activation;
    }
    json["tie_word_embeddings"] = true;
    json["torch_dtype"] = "float32";
    json["locus"] = own_keys(settings);
    return json.dump(2) + "\n";
}

ModelSettings settings_from_hugging_face(std::string_view config_json) {
    try {
        return settings_from_json(Json::parse(config_json));
    } catch (const Json::exception& error) {
        throw ModelError(std::string("config.json: ") + error.what());
    }
}

}  // namespace locus
