#include "train/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <memory>
#include <system_error>
#include <vector>

#include "data/tokenizer_training.h"
#include "model/position/position_encoding.h"
#include "tests/train/temporary_folder.h"
#include "train/error.h"
#include "train/model_folder.h"
#include "train/safetensors.h"

namespace locus {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<Tokenizer> byte_tokenizer(const TemporaryFolder& folder) {
    write_text(folder / "text.txt", "some text to look at\n");
    DataSettings data;
    data.tokenizer.type = "bytes";
    return train_tokenizer(data.tokenizer, {folder / "text.txt"}, data).tokenizer;
}

class Checkpoint : public ::testing::Test {
protected:
    Checkpoint()
        : tokenizer_(byte_tokenizer(folder_)), model_(settings(), DType::float32), optimizer_({}, model_.parameters()) {
        model_.initialize(3);
        for (std::int64_t i = 0; i < model_.parameters().count(); ++i) {
            optimizer_.m().as<float>()[i] = 0.001F * static_cast<float>(i);
            optimizer_.v().as<float>()[i] = 1.0F / static_cast<float>(i + 1);
        }
        state_.step = 500;
        state_.tokens = 123456789012;
        state_.elapsed_seconds = 0.1;
        state_.best_loss = 2.0 / 3;
        state_.best_step = 500;
        state_.validated_step = 500;
        state_.validations_without_improvement = 3;
        state_.configuration = "run:\n  seed: 1\n";
        state_.data_fingerprint = 0xFEDCBA9876543210U;
        state_.metrics_bytes = 77;
    }

    ModelSettings settings() const {
        ModelSettings settings;
        settings.layers = 1;
        settings.hidden = 8;
        settings.heads = 2;
        settings.feed_forward = 12;
        settings.max_length = 16;
        settings.position = {default_position("absolute")};
        settings.vocab_size = tokenizer_->vocab_size();
        settings.pad_id = tokenizer_->special().pad;
        return settings;
    }
    fs::path save(std::int64_t step, bool best = false, const std::string& name = "run") {
        state_.step = step;
        return save_checkpoint(folder_ / name, model_, optimizer_, *tokenizer_, state_, best);
    }
    std::string load_error(const fs::path& checkpoint) {
        MaskedLanguageModel model(settings(), DType::float32);
        Optimizer optimizer({}, model.parameters());
        try {
            load_checkpoint(checkpoint, model, optimizer);
            return {};
        } catch (const FileError& error) {
            return error.what();
        }
    }
    fs::path newest() {
        return newest_valid_checkpoint(folder_ / "run", [this](const std::string& text) { warnings_.push_back(text); });
    }
    std::vector<std::string> checkpoints() const {
        std::vector<std::string> names;
        for (const auto& entry : fs::directory_iterator(folder_ / "run" / "checkpoints"))
            names.push_back(entry.path().filename().string());
        std::sort(names.begin(), names.end());
        return names;
    }

    TemporaryFolder folder_;
    std::unique_ptr<Tokenizer> tokenizer_;
    MaskedLanguageModel model_;
    Optimizer optimizer_;
    TrainerState state_;
    std::vector<std::string> warnings_;
};

void flip_bit(const fs::path& path, std::size_t byte) {
    std::string bytes = read_text(path);
    bytes.at(byte) = static_cast<char>(bytes.at(byte) ^ 4);
    write_text(path, bytes);
}

TEST_F(Checkpoint, LoadingGivesBackEveryBit) {
    const fs::path saved = save(500, true);
    EXPECT_EQ(saved.filename(), "step-00000500");
    EXPECT_EQ(fs::read_symlink(folder_ / "run" / "latest"), "checkpoints/step-00000500");
    EXPECT_EQ(fs::read_symlink(folder_ / "run" / "best"), "checkpoints/step-00000500");

    MaskedLanguageModel model(settings(), DType::float32);
    Optimizer optimizer({}, model.parameters());
    const TrainerState state = load_checkpoint(saved, model, optimizer);
    const auto bytes = static_cast<std::size_t>(model.parameters().values().bytes());
    EXPECT_EQ(std::memcmp(model.parameters().values().data, model_.parameters().values().data, bytes), 0);
    EXPECT_EQ(std::memcmp(optimizer.m().data, optimizer_.m().data, bytes), 0);
    EXPECT_EQ(std::memcmp(optimizer.v().data, optimizer_.v().data, bytes), 0);
    EXPECT_EQ(state.step, 500);
    EXPECT_EQ(state.tokens, state_.tokens);
    EXPECT_EQ(state.elapsed_seconds, state_.elapsed_seconds);
    EXPECT_EQ(state.best_loss, state_.best_loss);
    EXPECT_EQ(state.best_step, 500);
    EXPECT_EQ(state.validated_step, 500);
    EXPECT_EQ(state.validations_without_improvement, 3);
    EXPECT_EQ(state.configuration, state_.configuration);
    EXPECT_EQ(state.data_fingerprint, state_.data_fingerprint);
    EXPECT_EQ(state.metrics_bytes, 77);
}

TEST_F(Checkpoint, TheSameStateGivesTheSameBytesWhateverTheStep) {
    const fs::path first = save(500);
    const fs::path second = save(700, false, "other");
    for (const char* name : {"model.safetensors", "optimizer.safetensors", "config.json"})
        EXPECT_EQ(read_text(first / name), read_text(second / name)) << name;
}

TEST_F(Checkpoint, SavingTheSameStepAgainReplacesIt) {
    save(500);
    model_.parameters().values().as<float>()[0] = 42;
    const fs::path again = save(500);
    EXPECT_EQ(load_error(again), "");
    EXPECT_EQ(checkpoints(), std::vector<std::string>{"step-00000500"});
    MaskedLanguageModel model(settings(), DType::float32);
    load_weights(again, model);
    EXPECT_EQ(model.parameters().values().as<float>()[0], 42);
}

TEST_F(Checkpoint, AFlippedBitIsFoundAndTheTensorNamed) {
    const fs::path good = save(100);
    const fs::path bad = save(200);
    const SafetensorsFile file(bad / "model.safetensors");
    const std::string tensor = "bert.encoder.layer.0.output.dense.weight";
    const std::string bytes = read_text(bad / "model.safetensors");
    const std::size_t data_begin = bytes.size() - static_cast<std::size_t>(model_.parameters().values().bytes());
    std::size_t offset = data_begin;
    for (const Parameter& parameter : model_.parameters().all()) {
        if (parameter.name == tensor) break;
        offset += static_cast<std::size_t>(parameter.value.bytes());
    }
    flip_bit(bad / "model.safetensors", offset + 5);
    const std::string message = load_error(bad);
    EXPECT_NE(message.find("model.safetensors"), std::string::npos) << message;
    EXPECT_NE(message.find(tensor), std::string::npos) << message;
    EXPECT_THROW(load_model(bad), FileError);
    EXPECT_EQ(newest(), good);
    ASSERT_EQ(warnings_.size(), 1U);
    EXPECT_NE(warnings_[0].find(tensor), std::string::npos);
}

TEST_F(Checkpoint, EveryFileIsWatchedForFlippedBitsAndTruncation) {
    const fs::path good = save(100);
    for (const auto& entry : fs::directory_iterator(save(200))) {
        const std::string name = entry.path().filename().string();
        const auto size = fs::file_size(entry.path());
        for (const std::size_t place :
             {std::size_t{0}, static_cast<std::size_t>(size / 2), static_cast<std::size_t>(size - 1)}) {
            const fs::path bad = save(200);
            flip_bit(bad / name, place);
            EXPECT_EQ(newest(), good) << name << " flipped at " << place;
        }
        for (const std::uintmax_t length :
             {std::uintmax_t{0}, size / 2, size - 2}) {  // the last byte may be a mere line end
            const fs::path bad = save(200);
            fs::resize_file(bad / name, length);
            const std::string message = load_error(bad);
            EXPECT_NE(message.find(name), std::string::npos) << message;
            EXPECT_EQ(newest(), good) << name << " cut to " << length;
        }
        fs::remove(save(200) / name);
        EXPECT_EQ(newest(), good) << name << " removed";
    }
}

TEST_F(Checkpoint, WeightsAloneCannotBeResumedAndTheMessageSaysWhatCan) {
    const fs::path saved = save(100);
    fs::remove(saved / "trainer.json");
    EXPECT_NE(load_error(saved).find("train.init_from"), std::string::npos);
    EXPECT_TRUE(newest().empty());
}

TEST_F(Checkpoint, PruningKeepsTheNewestAndTheLinkedOnes) {
    for (std::int64_t step = 100; step <= 600; step += 100) save(step, step == 200);
    prune_checkpoints(folder_ / "run", 0);
    EXPECT_EQ(checkpoints().size(), 6U);
    prune_checkpoints(folder_ / "run", 2);
    EXPECT_EQ(checkpoints(), (std::vector<std::string>{"step-00000200", "step-00000500", "step-00000600"}));
}

TEST_F(Checkpoint, LinksAreRestoredAndALostBestCheckpointIsTold) {
    save(100, true);
    state_.best_step = 100;
    const fs::path saved = save(200);
    fs::remove(folder_ / "run" / "latest");
    fs::remove(folder_ / "run" / "best");
    EXPECT_TRUE(restore_links(folder_ / "run", saved, read_trainer_state(saved)));
    EXPECT_EQ(fs::read_symlink(folder_ / "run" / "latest"), "checkpoints/step-00000200");
    EXPECT_EQ(fs::read_symlink(folder_ / "run" / "best"), "checkpoints/step-00000100");
    fs::remove_all(folder_ / "run" / "checkpoints" / "step-00000100");
    EXPECT_FALSE(restore_links(folder_ / "run", saved, read_trainer_state(saved)));
    EXPECT_EQ(resolve_model_folder(folder_ / "run").filename(), "step-00000200");
}

TEST_F(Checkpoint, ARunThatWasMovedStillWorks) {
    save(100, true);
    fs::rename(folder_ / "run", folder_ / "moved");
    EXPECT_EQ(resolve_model_folder(folder_ / "moved").filename(), "step-00000100");
}

TEST_F(Checkpoint, AFailedSaveLeavesTheOldCheckpointAndNothingElse) {
    std::signal(SIGXFSZ, SIG_IGN);
    const fs::path good = save(100);
    rlimit old = {};
    getrlimit(RLIMIT_FSIZE, &old);
    for (const rlim_t bytes : {100, 3000, 20000}) {  // in the first file, in a later one, ...
        rlimit small = old;
        small.rlim_cur = bytes;
        setrlimit(RLIMIT_FSIZE, &small);
        int code = 0;
        try {
            save(200);
        } catch (const std::system_error& error) {
            code = error.code().value();
        }
        setrlimit(RLIMIT_FSIZE, &old);
        EXPECT_EQ(code, EFBIG) << bytes;
        EXPECT_EQ(checkpoints(), std::vector<std::string>{"step-00000100"});
        EXPECT_EQ(newest(), good);
        EXPECT_EQ(fs::read_symlink(folder_ / "run" / "latest"), "checkpoints/step-00000100");
    }
}

TEST_F(Checkpoint, WhatAKilledProcessLeftIsRemoved) {
    save(100);
    const fs::path all = folder_ / "run" / "checkpoints";
    fs::create_directory(all / ".tmp-step-00000200-4711");
    write_text(all / ".tmp-step-00000200-4711" / "model.safetensors", "half");
    remove_stale_folders(folder_ / "run");
    EXPECT_EQ(checkpoints(), std::vector<std::string>{"step-00000100"});
}

TEST_F(Checkpoint, TheEstimateOfItsSizeIsNotBelowAndNotFarAbove) {
    std::int64_t bytes = 0;
    for (const auto& entry : fs::directory_iterator(save(100))) bytes += static_cast<std::int64_t>(entry.file_size());
    EXPECT_GE(checkpoint_bytes(model_), bytes);
    EXPECT_LE(checkpoint_bytes(model_), bytes + 200'000);
}

}  // namespace
}  // namespace locus
