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
