#include "model/cost.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/model/gradient_check.h"

namespace locus {
namespace {

ModelSettings tiny() {
    ModelSettings settings;
    settings.vocab_size = 8192;
    settings.position = {default_position("absolute")};
    return settings;
}

TEST(Cost, PartsAddUpToAllParameters) {
    const MaskedLanguageModel model(tiny(), DType::float32);
    std::int64_t sum = 0;
    for (const auto& [part, count] : parameters_by_part(model)) sum += count;
    EXPECT_EQ(sum, model.parameters().count());
    EXPECT_EQ(parameters_by_part(model)[0].second, 8192 * 256);
}

TEST(Cost, TinyBertNeedsTheFlopsThatItsFormulaSays) {
    // Per token: 4 layers (8 * 256^2 + 4 * 256 * 1024 + 4 * 128 * 256); per masked token 2 * 256^2 + 2 * 256 * 8192.
    const double layers = 4.0 * (8 * 65536 + 4 * 262144 + 4 * 32768), head = 2.0 * 65536 + 2.0 * 2097152;
    EXPECT_DOUBLE_EQ(forward_flops(tiny(), 4096, 128, 614), 4096 * layers + 614 * head);
}

TEST(Cost, AWindowLimitsWhatATokenSees) {
    ModelSettings windowed = tiny();
    windowed.attention.window = 16;
    const double saved = forward_flops(tiny(), 4096, 128, 614) - forward_flops(windowed, 4096, 128, 614);
    EXPECT_DOUBLE_EQ(saved, 4096 * 4.0 * 4 * (128 - 33) * 256);
    windowed.attention.window = 500;
    EXPECT_EQ(forward_flops(windowed, 4096, 128, 614), forward_flops(tiny(), 4096, 128, 614));
}

TEST(Cost, WhatAnEncodingAddsIsNotCountedAsFeedForward) {
    const auto feed_forward = [](const ModelSettings& settings) {
        for (const auto& [part, count] : parameters_by_part(MaskedLanguageModel(settings, DType::float32)))
            if (part == "feed-forward") return count;
        return std::int64_t{0};
    };
    for (const EncodingEntry& entry : encoding_registry()) {
        ModelSettings settings = tiny();
        settings.position = {default_position(entry.name)};
        EXPECT_EQ(feed_forward(settings), 4 * (2 * 256 * 1024 + 256 + 1024)) << entry.name;
    }
}

TEST(Cost, AProductOfPositionsCostsAsMuchAsOneOfContents) {
    ModelSettings untied = tiny();
    untied.position = {default_position("tupe")};
    EXPECT_DOUBLE_EQ(forward_flops(untied, 1, 128, 0) - forward_flops(tiny(), 1, 128, 0), 2.0 * 4 * 128 * 256);
}

TEST(Cost, RelativeTablesCostAsMuchAsContent) {
    ModelSettings relative = tiny();
    relative.position = {default_position("relative_key")};
    EXPECT_DOUBLE_EQ(forward_flops(relative, 1, 128, 0) - forward_flops(tiny(), 1, 128, 0), 4.0 * 4 * 128 * 256);
}

TEST(Cost, TheEnhancedDecoderDecodesMaskedRowsOnly) {
    ModelSettings enhanced = tiny();
    enhanced.mask_decoder = "enhanced";
    const double block = 8 * 65536 + 4 * 262144 + 4 * 32768, key_value = 4 * 65536;
    EXPECT_DOUBLE_EQ(forward_flops(enhanced, 1, 128, 0) - forward_flops(tiny(), 1, 128, 0), 2 * key_value - block);
    EXPECT_DOUBLE_EQ(forward_flops(enhanced, 0, 128, 1) - forward_flops(tiny(), 0, 128, 1), 2 * (block - key_value));
}

TEST(Cost, MemoryEstimateCountsParametersWithinATwentieth) {
    ModelSettings deberta = tiny();
    deberta.architecture = "deberta-v2";
    deberta.position = {default_position("disentangled")};
    deberta.mask_decoder = "enhanced";
    deberta.embedding_size = 64;
    deberta.convolution.kernel = 3;
    for (const ModelSettings& settings : {tiny(), deberta}) {
        const MaskedLanguageModel model(settings, DType::float32);
        const double estimated =
            static_cast<double>(training_memory(model.settings(), 32, 128, 0.15).parameters_and_optimizer) / 16;
        EXPECT_NEAR(estimated / static_cast<double>(model.parameters().count()), 1.0, 0.05);
    }
}

TEST(Cost, MemoryEstimateOfActivationsIsWithinAFifth) {
    ModelSettings settings = tiny();
    settings.vocab_size = 512;
    const testing::RaggedBatch batch({64, 64, 64, 64}, 512);
    std::vector<std::int32_t> rows, targets;
    for (std::int32_t row = 0; row < 256; row += 8) {
        rows.push_back(row);
        targets.push_back(7);
    }
    const MaskedTargets masked = {Tensor(rows.data(), {32}, DType::int32), Tensor(targets.data(), {32}, DType::int32)};
    for (const bool recompute : {false, true}) {
        settings.recompute = recompute;
        MaskedLanguageModel model(settings, DType::float32);
        model.initialize(1);
        Arena arena;
        Tape tape(arena);
        model.masked_lm_loss(tape, batch.input, masked, 1, {.training = true});
        tape.backward();
        const double estimated = static_cast<double>(training_memory(settings, 4, 64, 0.125).activations);
        EXPECT_NEAR(estimated / static_cast<double>(arena.peak()), 1.0, 0.2) << recompute;
    }
}

}  // namespace
}  // namespace locus
