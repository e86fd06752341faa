#include "train/model_folder.h"

#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "model/hugging_face.h"
#include "model/position/position_encoding.h"
#include "tests/train/temporary_folder.h"
#include "train/error.h"
#include "train/safetensors.h"

namespace locus {
namespace {

namespace fs = std::filesystem;

ModelSettings small() {
    ModelSettings settings;
    settings.layers = 1;
    settings.hidden = 8;
    settings.heads = 2;
    settings.feed_forward = 12;
    settings.max_length = 16;
    settings.vocab_size = 20;
    settings.position = {default_position("absolute")};
    return settings;
}

constexpr const char* word_name = "bert.embeddings.word_embeddings.weight";

class ModelFolder : public ::testing::Test {
protected:
    ModelFolder() : model_(small(), DType::float32) {
        model_.initialize(5);
        for (const Parameter& parameter : model_.parameters().all())
            tensors_.push_back({parameter.name, parameter.value});
        write_text(folder_ / "config.json", hugging_face_config(small()));
    }
    NamedTensor& tensor(const std::string& name) {
        for (NamedTensor& named : tensors_)
            if (named.name == name) return named;
        throw std::runtime_error(name);
    }
    void write() { write_safetensors(folder_ / "model.safetensors", tensors_, {{"format", "pt"}}); }
    std::string error() {
        try {
            load_model(folder_.path());
            return {};
        } catch (const FileError& error) {
            return error.what();
        }
    }
    void expect_loads_the_same() {
        const LoadedModel loaded = load_model(folder_.path());
        EXPECT_EQ(std::memcmp(loaded.model->parameters().values().data, model_.parameters().values().data,
                              static_cast<std::size_t>(model_.parameters().values().bytes())),
                  0);
    }

    TemporaryFolder folder_;
    MaskedLanguageModel model_;
    std::vector<NamedTensor> tensors_;
};

TEST_F(ModelFolder, LoadsWhatWasWritten) {
    write();
    expect_loads_the_same();
    EXPECT_EQ(load_model(folder_.path()).tokenizer, nullptr);
}

TEST_F(ModelFolder, TellsAllMisfitsAtOnce) {
    const std::string missing = "bert.encoder.layer.0.output.dense.bias";
    const std::string reshaped = "bert.encoder.layer.0.intermediate.dense.bias";
    std::erase_if(tensors_, [&](const NamedTensor& named) { return named.name == missing; });
    tensor(reshaped).tensor = tensor(reshaped).tensor.reshape({3, 4});
    tensors_.push_back({"bert.surprise", tensor(word_name).tensor});
    write();
    const std::string message = error();
    EXPECT_NE(message.find("missing: " + missing), std::string::npos) << message;
    EXPECT_NE(message.find(reshaped + " is [3, 4], should be [12]"), std::string::npos) << message;
    EXPECT_NE(message.find("unexpected: bert.surprise"), std::string::npos) << message;
}

TEST_F(ModelFolder, AnEqualTiedCopyIsAcceptedAndADifferentOneIsAnError) {
    std::vector<float> copy(20 * 8);
    std::memcpy(copy.data(), tensor(word_name).tensor.data, copy.size() * 4);
    tensors_.push_back({"cls.predictions.decoder.weight", Tensor(copy.data(), {20, 8}, DType::float32)});
    write();
    expect_loads_the_same();
    copy[17] += 1;
    write();
    EXPECT_NE(error().find("untied"), std::string::npos) << error();
}

TEST_F(ModelFolder, ATiedTensorMayBeThereUnderItsCopysNameOnly) {
    tensor("cls.predictions.bias").name = "cls.predictions.decoder.bias";
    write();
    expect_loads_the_same();
}

TEST_F(ModelFolder, HeadsThatAMaskedModelLacksAreLeftOutAndTold) {
    std::vector<float> pooler(64);
    tensors_.push_back({"bert.pooler.dense.weight", Tensor(pooler.data(), {8, 8}, DType::float32)});
    write();
    EXPECT_EQ(load_model(folder_.path()).ignored, std::vector<std::string>{"bert.pooler.dense.weight"});
}

TEST_F(ModelFolder, ALongerTableStartsWithWhatItsPolicyPutsThere) {
    write();
    ModelSettings longer = small();
    longer.max_length = 24;
    longer.position[0].options["beyond"] = std::string("tile");
    MaskedLanguageModel model(longer, DType::float32);
    model.initialize(6);
    const std::vector<std::string> told = load_initial_weights(folder_.path(), model);
    const char* const name = "bert.embeddings.position_embeddings.weight";
    const auto* const short_table = model_.parameters().find(name)->value.as<float>();
    const auto* const long_table = model.parameters().find(name)->value.as<float>();
    for (int i = 0; i < 24 * 8; ++i) EXPECT_EQ(long_table[i], short_table[i % (16 * 8)]) << i;
    EXPECT_EQ(model.parameters().find(word_name)->value.as<float>()[3],
              model_.parameters().find(word_name)->value.as<float>()[3]);
    EXPECT_EQ(told.back(), "weights: " + std::string(name) + ": 16 rows became 24, by beyond: tile");
}

TEST_F(ModelFolder, ALongerTableWithoutAPolicyIsRefusedWithTheRemedy) {
    write();
    ModelSettings longer = small();
    longer.max_length = 24;
    MaskedLanguageModel model(longer, DType::float32);
    try {
        load_initial_weights(folder_.path(), model);
        ADD_FAILURE() << "no error";
    } catch (const FileError& error) {
        EXPECT_NE(std::string(error.what()).find("model.position.beyond says what the new rows start from"),
                  std::string::npos)
            << error.what();
    }
    longer.position[0].options["beyond"] = std::string("tile");
    MaskedLanguageModel other(longer, DType::float32);
    EXPECT_THROW(load_weights(folder_.path(), other), FileError);  // resuming takes nothing but the same shapes
}

TEST_F(ModelFolder, ShardedFilesAreRead) {
    nlohmann::json index = {{"weight_map", nlohmann::json::object()}};
    const std::vector<NamedTensor> first(tensors_.begin(), tensors_.begin() + 3);
    const std::vector<NamedTensor> second(tensors_.begin() + 3, tensors_.end());
    for (const NamedTensor& named : first) index["weight_map"][named.name] = "model-00001-of-00002.safetensors";
    for (const NamedTensor& named : second) index["weight_map"][named.name] = "model-00002-of-00002.safetensors";
    write_safetensors(folder_ / "model-00001-of-00002.safetensors", first);
    write_safetensors(folder_ / "model-00002-of-00002.safetensors", second);
    write_text(folder_ / "model.safetensors.index.json", index.dump());
    expect_loads_the_same();
    fs::remove(folder_ / "model-00002-of-00002.safetensors");
    EXPECT_NE(error().find("model-00002-of-00002.safetensors"), std::string::npos);
    index["weight_map"]["x"] = "../elsewhere.safetensors";
    write_text(folder_ / "model.safetensors.index.json", index.dump());
    EXPECT_NE(error().find("not a file of this folder"), std::string::npos);
}

TEST_F(ModelFolder, APickleIsRefusedWithTheRemedy) {
    write_text(folder_ / "pytorch_model.bin", "pickle");
    EXPECT_NE(error().find("safe_serialization=True"), std::string::npos) << error();
}

TEST_F(ModelFolder, BadConfigurationsAreFileErrorsThatNameTheFile) {
    write();
    for (const char* text : {"", "[]", "{", "{\"model_type\": \"gpt2\"}", "{\"model_type\": 3}"}) {
        write_text(folder_ / "config.json", text);
        EXPECT_NE(error().find("config.json"), std::string::npos) << text;
    }
}

TEST_F(ModelFolder, SaysWhatItLookedFor) {
    const TemporaryFolder empty;
    for (const fs::path& path : {empty.path(), empty / "absent", folder_ / "config.json"}) {
        try {
            resolve_model_folder(path);
            ADD_FAILURE() << path;
        } catch (const FileError& error) {
            EXPECT_NE(std::string(error.what()).find(path.string()), std::string::npos);
        }
    }
}

TEST_F(ModelFolder, HalfPrecisionFilesLoadIntoFloat64) {
    std::vector<std::uint16_t> zeros(static_cast<std::size_t>(model_.parameters().count()));
    for (NamedTensor& named : tensors_) named.tensor = Tensor(zeros.data(), named.tensor.shape, DType::bfloat16);
    zeros[0] = 0x3FC0;  // 1.5, the first element of every tensor
    write();
    const LoadedModel loaded = load_model(folder_.path(), DType::float64);
    EXPECT_EQ(loaded.model->parameters().all().front().value.as<double>()[0], 1.5);
}

}  // namespace
}  // namespace locus
