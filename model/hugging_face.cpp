#include "model/hugging_face.h"

#include <nlohmann/json.hpp>

#include "model/error.h"
#include "model/position/position_encoding.h"

namespace locus {
namespace {

using Json = nlohmann::ordered_json;

bool is_alone(const ModelSettings& settings, const char* encoding) {
    return settings.position.size() == 1 && settings.position[0].encoding == encoding;
}

// Only the learned absolute table is the same in every release of `transformers`. Release 5 dropped relative_key and would load such a
// checkpoint as an absolute one without a word, so it does not get the name "bert".
bool is_exactly_bert(const ModelSettings& settings) {
    return settings.architecture == "bert" && is_alone(settings, "absolute");
}

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

void refuse(const std::string& key, const Json& found, const std::string& known) {
    throw ModelError("config.json: " + key + " is " + found.dump() + "; this version has: " + known);
}

// The parts of a BERT configuration that change the arithmetic and that we do not have.
void check_supported(const Json& json) {
    const Json activation = json.value("hidden_act", Json("gelu"));
    if (activation != "gelu") refuse("hidden_act", activation, "gelu (the erf form)");
    if (json.value("is_decoder", false)) refuse("is_decoder", true, "false");
    if (json.value("add_cross_attention", false)) refuse("add_cross_attention", true, "false");
    if (!json.value("tie_word_embeddings", true)) refuse("tie_word_embeddings", false, "true");
}

std::vector<PositionSettings> position_of(const Json& json) {
    if (json.contains("locus")) return position_from_json(json.at("locus").at("position"));
    const std::string type = json.value("position_embedding_type", "absolute");
    if (type != "absolute" && type != "relative_key" && type != "relative_key_query") {
        refuse("position_embedding_type", type, "absolute, relative_key, relative_key_query");
    }
    return {default_position(type)};
}

ModelSettings settings_from_json(const Json& json) {
    const std::string type = json.value("model_type", "bert");
    if (type != "bert" && type != "locus") refuse("model_type", type, "bert, locus");
    check_supported(json);
    ModelSettings settings;
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
    settings.position = position_of(json);
    return settings;
}

bool starts_with(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

void replace_ending(std::string& name, std::string_view from, std::string_view to) {
    if (name.size() < from.size() || name.compare(name.size() - from.size(), from.size(), from) != 0) return;
    name.replace(name.size() - from.size(), from.size(), to);
}

}  // namespace

std::string hugging_face_config(const ModelSettings& settings) {
    Json json;
    if (is_exactly_bert(settings)) json["architectures"] = {"BertForMaskedLM"};
    json["model_type"] = is_exactly_bert(settings) ? "bert" : "locus";
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
    if (is_alone(settings, "absolute")) json["position_embedding_type"] = "absolute";
    // For BertForMaskedLM of release 4, asked for by its class: the same arithmetic under the same tensor names.
    for (const char* type : {"relative_key", "relative_key_query"}) {
        if (is_alone(settings, type)) json["position_embedding_type"] = type;
    }
    json["tie_word_embeddings"] = true;
    json["torch_dtype"] = "float32";
    json["locus"] = {{"position", position_to_json(settings.position)}};
    return json.dump(2) + "\n";
}

ModelSettings settings_from_hugging_face(std::string_view config_json) {
    try {
        return settings_from_json(Json::parse(config_json));
    } catch (const Json::exception& error) {
        throw ModelError(std::string("config.json: ") + error.what());
    }
}

std::string parameter_name(std::string_view name, const ModelSettings&) {
    std::string known(name);
    if (!starts_with(name, "bert.") && !starts_with(name, "cls.")) known.insert(0, "bert.");  // saved from BertModel
    replace_ending(known, "LayerNorm.gamma", "LayerNorm.weight");
    replace_ending(known, "LayerNorm.beta", "LayerNorm.bias");
    return known;
}

ForeignTensor classify_foreign(std::string_view name, const ModelSettings& settings) {
    const std::string known = parameter_name(name, settings);
    if (known == "cls.predictions.decoder.weight" || known == "cls.predictions.decoder.bias")
        return ForeignTensor::tied_copy;
    if (known == "bert.embeddings.position_ids" || starts_with(known, "bert.pooler.") ||
        starts_with(known, "cls.seq_relationship.")) {
        return ForeignTensor::ignored;
    }
    // `transformers` keeps BERT's absolute table in models with relative positions, where nothing reads it.
    const bool relative = is_alone(settings, "relative_key") || is_alone(settings, "relative_key_query");
    if (relative && known == "bert.embeddings.position_embeddings.weight") {
        return ForeignTensor::ignored;
    }
    return ForeignTensor::unknown;
}

}  // namespace locus
