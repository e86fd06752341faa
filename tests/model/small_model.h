#pragma once
// A model small enough for finite differences, with every bias, norm and table away from its initial value, so that a
// forgotten one shows.

#include <string>

#include "model/masked_language_model.h"
#include "tests/model/gradient_check.h"

namespace locus::testing {

inline ModelSettings small_settings(const std::string& encoding) {
    ModelSettings settings;
    settings.layers = 2;
    settings.hidden = 6;
    settings.heads = 2;
    settings.feed_forward = 5;
    settings.max_length = 8;
    settings.vocab_size = 11;
    settings.layer_norm_epsilon = 1e-5;
    settings.position = {default_position(encoding)};
    return settings;
}

inline std::unique_ptr<MaskedLanguageModel> perturbed_model(const ModelSettings& settings,
                                                            Arithmetic arithmetic = DType::float64,
                                                            double deviation = 0.3) {
    auto model = std::make_unique<MaskedLanguageModel>(settings, arithmetic);
    model->initialize(1);
    const std::int64_t count = model->parameters().count();
    std::vector<double> noise(static_cast<std::size_t>(count));
    fill_random(noise.data(), count, 12, deviation);
    for (std::int64_t n = 0; n < count; ++n) {
        const double value = noise[static_cast<std::size_t>(n)];
        if (arithmetic.storage == DType::float64) {
            model->parameters().values().as<double>()[n] += value;
        } else {
            model->parameters().values().as<float>()[n] += static_cast<float>(value);
        }
    }
    return model;
}

/// Parameters without influence: a key bias adds q_i . b to every score of row i, and the softmax does not see what is the same for all j.
inline std::vector<std::string> key_biases(const MaskedLanguageModel& model) {
    std::vector<std::string> names;
    for (const Parameter& parameter : model.parameters().all()) {
        if (parameter.name.find("self.key.bias") != std::string::npos) names.push_back(parameter.name);
    }
    return names;
}

/// Encoded rows of a batch, flattened.
inline std::vector<double> encode(const MaskedLanguageModel& model, const ModelInput& input) {
    Arena arena;
    Tape tape(arena);
    tape.set_recording(false);
    const Tensor hidden = model.encode(tape, input, {}).value();
    const double* const begin = hidden.as<double>();
    return {begin, begin + hidden.count()};
}

/// What two micro-batches of training with dropout leave: the bytes of their losses and of all gradients.
inline std::string training_bits(ModelSettings settings, DType arithmetic) {
    settings.hidden_dropout = 0.3;
    settings.attention_dropout = 0.4;
    const auto model = perturbed_model(settings, arithmetic);
    std::string bits;
    const auto append = [&](const Tensor& values) {
        bits.append(static_cast<const char*>(values.data), static_cast<std::size_t>(values.bytes()));
    };
    std::vector<std::int32_t> rows = {0, 3, 5, 6}, targets = {1, 4, 9, 2};
    const MaskedTargets masked = {Tensor(rows.data(), {4}, DType::int32), Tensor(targets.data(), {4}, DType::int32)};
    Arena arena;
    for (const std::vector<std::int32_t>& lengths : {std::vector<std::int32_t>{4, 1, 3}, {2, 7}}) {
        const RaggedBatch batch(lengths, 11);
        Tape tape(arena);
        append(model->masked_lm_loss(tape, batch.input, masked, 0.125, {.training = true, .seed = 3, .step = 17}).loss);
        tape.backward();
    }
    append(model->parameters().gradients());
    return bits;
}

inline void expect_recomputation_keeps_every_bit(ModelSettings settings) {
    for (const DType arithmetic : {DType::float32, DType::bfloat16}) {
        settings.recompute = false;
        const std::string kept = training_bits(settings, arithmetic);
        settings.recompute = true;
        EXPECT_TRUE(kept == training_bits(settings, arithmetic)) << name_of(arithmetic);
    }
}

inline double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
    double largest = 0;
    for (std::size_t n = 0; n < a.size(); ++n) {
        const double difference = std::abs(a[n] - b[n]);
        if (!(difference <= largest)) largest = difference;
    }
    return a.size() == b.size() ? largest : INFINITY;
}

}  // namespace locus::testing
