#include "model/hugging_face.h"

#include <gtest/gtest.h>

#include "model/error.h"
#include "model/position/position_encoding.h"

namespace locus {
namespace {

ModelSettings some_settings(const std::string& encoding) {
    ModelSettings settings;
    settings.layers = 3;
    settings.hidden = 24;
    settings.heads = 3;
    settings.feed_forward = 40;
    settings.vocab_size = 101;
    settings.max_length = 20;
    settings.token_types = 1;
    settings.position = {default_position(encoding)};
    return settings;
}

TEST(HuggingFaceConfig, RoundTripsEveryEncodingWithItsOptions) {
    for (const EncodingEntry& entry : encoding_registry()) {
        const ModelSettings settings = some_settings(std::string(entry.name));
        const std::string json = hugging_face_config(settings);
        EXPECT_EQ(hugging_face_config(settings_from_hugging_face(json)), json);
    }
}

TEST(HuggingFaceConfig, OnlyTheAbsoluteTableIsCalledBert) {
    EXPECT_NE(hugging_face_config(some_settings("absolute")).find("\"model_type\": \"bert\""), std::string::npos);
    for (const char* encoding : {"none", "sinusoidal", "relative_key"}) {
        EXPECT_NE(hugging_face_config(some_settings(encoding)).find("\"model_type\": \"locus\""), std::string::npos)
            << encoding;
    }
}

TEST(HuggingFaceConfig, AttentionThatTransformersDoesNotHaveIsNotCalledBert) {
    for (const AttentionSettings& attention : {AttentionSettings{16, false}, AttentionSettings{0, true}}) {
        ModelSettings settings = some_settings("absolute");
        settings.attention = attention;
        settings.train_length = 64;
        const std::string json = hugging_face_config(settings);
        EXPECT_NE(json.find("\"model_type\": \"locus\""), std::string::npos);
        const ModelSettings read = settings_from_hugging_face(json);
        EXPECT_EQ(read.attention.window, attention.window);
        EXPECT_EQ(read.attention.logn, attention.logn);
        EXPECT_EQ(read.train_length, 64);
    }
}

TEST(HuggingFaceConfig, DebertaWithAPlainDecoderIsCalledByItsName) {
    const auto type_of = [](const ModelSettings& settings) {
        const std::string json = hugging_face_config(settings), key = "\"model_type\": \"";
        const std::size_t begin = json.find(key) + key.size();
        return json.substr(begin, json.find('"', begin) - begin);
    };
    ModelSettings v1 = some_settings("disentangled");
    v1.architecture = "deberta";
    v1.token_types = 0;
    EXPECT_EQ(type_of(v1), "deberta");
    ModelSettings v2 = v1;
    v2.architecture = "deberta-v2";
    v2.position[0].options["share_projections"] = true;
    EXPECT_EQ(type_of(v2), "deberta-v2");
    ModelSettings other = v1;
    other.position[0].options["share_projections"] = true;  // version 1 has no such model
    EXPECT_EQ(type_of(other), "locus");
    other = v2;
    other.mask_decoder = "enhanced";
    EXPECT_EQ(type_of(other), "locus");
    other = v2;
    other.position[0].options["terms"] = std::string("c2p|p2p");
    EXPECT_EQ(type_of(other), "locus");
    other = v2;
    other.position.push_back(default_position("alibi"));
    EXPECT_EQ(type_of(other), "locus");
    for (const ModelSettings& settings : {v1, v2, other})
        EXPECT_EQ(hugging_face_config(settings_from_hugging_face(hugging_face_config(settings))),
                  hugging_face_config(settings));
}

TEST(HuggingFaceConfig, ReadsDebertasOfTransformersAndOfTheirAuthors) {
    const std::string shape =
        R"("num_hidden_layers": 2, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 16,
        "vocab_size": 30, "relative_attention": true, "position_biased_input": false, "pos_att_type": )";
    const ModelSettings v3 = settings_from_hugging_face(
        R"({"model_type": "deberta-v2", "position_buckets": 256, "share_att_key": true, "norm_rel_ebd": "layer_norm",)" +
        shape + R"("p2c|c2p"})");
    EXPECT_EQ(std::get<std::string>(v3.position[0].options.at("terms")), "c2p|p2c");
    EXPECT_EQ(std::get<std::int64_t>(v3.position[0].options.at("buckets")), 256);
    EXPECT_EQ(v3.token_types, 0);
    EXPECT_EQ(v3.layer_norm_epsilon, 1e-7);
    EXPECT_EQ(parameter_name("lm_predictions.lm_head.dense.weight", v3), "cls.predictions.transform.dense.weight");
    EXPECT_EQ(parameter_name("lm_predictions.lm_head.bias", v3), "cls.predictions.bias");
    EXPECT_EQ(parameter_name("encoder.rel_embeddings.weight", v3), "deberta.encoder.rel_embeddings.weight");
    EXPECT_EQ(classify_foreign("mask_predictions.dense.weight", v3), ForeignTensor::ignored);
    EXPECT_EQ(classify_foreign("deberta.embeddings.position_embeddings.weight", v3), ForeignTensor::ignored);
    EXPECT_EQ(classify_foreign("deberta.encoder.other.weight", v3), ForeignTensor::unknown);
    for (const char* terms : {"null", "[]", "\"none\""}) {
        const ModelSettings none = settings_from_hugging_face(R"({"model_type": "deberta",)" + shape + terms + "}");
        EXPECT_EQ(std::get<std::string>(none.position[0].options.at("terms")), "none");
    }
    EXPECT_THROW(settings_from_hugging_face(R"({"model_type": "deberta",)" + shape + R"(["c2p", "p2p"]})"), ModelError);
    EXPECT_THROW(settings_from_hugging_face(R"({"model_type": "deberta", "talking_head": true,)" + shape + "[]}"),
                 ModelError);
}

TEST(HuggingFaceNames, InterleavedHeadsComeBack) {
    std::vector<float> rows(12 * 2), files(rows.size()), back(rows.size());
    for (std::size_t n = 0; n < rows.size(); ++n) rows[n] = static_cast<float>(n);
    const auto tensor = [](std::vector<float>& values) { return Tensor(values.data(), {12, 2}, DType::float32); };
    interleave_heads(tensor(rows), tensor(files), 2);  // 3 parts of 2 heads of 2
    const int order[] = {0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11};
    for (std::size_t n = 0; n < 12; ++n) EXPECT_EQ(files[2 * n], static_cast<float>(2 * order[n])) << n;
    stack_heads(tensor(files), tensor(back), 2);
    EXPECT_EQ(back, rows);
}

TEST(HuggingFaceConfig, ReadsWhatTransformersWrites) {
    const ModelSettings settings =
        settings_from_hugging_face(R"({"model_type": "bert", "num_hidden_layers": 2, "hidden_size": 8,
        "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 30, "position_embedding_type": "relative_key",
        "pad_token_id": null, "hidden_act": "gelu", "use_cache": true})");
    EXPECT_EQ(settings.position[0].encoding, "relative_key");
    EXPECT_EQ(settings.pad_id, -1);
    EXPECT_EQ(settings.layer_norm_epsilon, 1e-12);
    EXPECT_EQ(settings.max_length, 512);
}

TEST(HuggingFaceConfig, WhatWeDoNotHaveIsRefusedByKey) {
    const auto message = [](const std::string& extra) -> std::string {
        try {
            settings_from_hugging_face(R"({"num_hidden_layers": 2, "hidden_size": 8, "num_attention_heads": 2,
                "intermediate_size": 16, "vocab_size": 30, )" +
                                       extra + "}");
        } catch (const ModelError& error) {
            return error.what();
        }
        return "accepted";
    };
    EXPECT_NE(message(R"("hidden_act": "gelu_new")").find("hidden_act"), std::string::npos);
    EXPECT_NE(message(R"("model_type": "roberta")").find("roberta"), std::string::npos);
    EXPECT_NE(message(R"("is_decoder": true)").find("is_decoder"), std::string::npos);
    EXPECT_NE(message(R"("tie_word_embeddings": false)").find("tie_word_embeddings"), std::string::npos);
    EXPECT_NE(message(R"("position_embedding_type": "rotary")").find("rotary"), std::string::npos);
    EXPECT_NE(message(R"("layer_norm_eps": "x")").find("config.json"), std::string::npos);
}

TEST(HuggingFaceNames, OldAndForeignSpellings) {
    const ModelSettings settings = some_settings("absolute");
    EXPECT_EQ(parameter_name("embeddings.LayerNorm.gamma", settings), "bert.embeddings.LayerNorm.weight");
    EXPECT_EQ(parameter_name("cls.predictions.bias", settings), "cls.predictions.bias");
    EXPECT_EQ(classify_foreign("cls.predictions.decoder.weight", settings), ForeignTensor::tied_copy);
    EXPECT_EQ(classify_foreign("bert.pooler.dense.weight", settings), ForeignTensor::ignored);
    EXPECT_EQ(classify_foreign("bert.embeddings.position_ids", settings), ForeignTensor::ignored);
    EXPECT_EQ(classify_foreign("bert.encoder.layer.0.crossattention.self.query.weight", settings),
              ForeignTensor::unknown);
    EXPECT_EQ(classify_foreign("bert.embeddings.position_embeddings.weight", settings), ForeignTensor::unknown);
    EXPECT_EQ(classify_foreign("bert.embeddings.position_embeddings.weight", some_settings("relative_key")),
              ForeignTensor::ignored);
}

}  // namespace
}  // namespace locus
