// A model computes on a GPU what it computes on the processor: loss, every gradient, with dropout. On the machines where most of the work is done the
// GPU is the host's stand-in (kernels/simt.h), where the host cannot touch device memory by mistake.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/device.h"
#include "kernels/simt.h"
#include "model/position/position_encoding.h"
#include "tests/model/small_model.h"

namespace locus {
namespace {

using testing::perturbed_model;
using testing::RaggedBatch;
using testing::small_settings;

/// What two micro-batches of training leave.
struct Trained {
    std::vector<double> losses;
    std::vector<float> gradients;
};

Trained train_on(Device device, const ModelSettings& settings, DType arithmetic = DType::float32) {
    const auto model = perturbed_model(settings, arithmetic);
    model->move_to(device);
    std::vector<std::int32_t> rows = {0, 3, 5, 6}, targets = {1, 4, 9, 2};
    const MaskedTargets masked = {Tensor(rows.data(), {4}, DType::int32), Tensor(targets.data(), {4}, DType::int32)};
    Trained trained;
    Arena arena(device);
    for (const std::vector<std::int32_t>& lengths : {std::vector<std::int32_t>{4, 1, 3}, {2, 7}}) {
        const RaggedBatch batch(lengths, 11);
        Tape tape(arena);
        const MaskedLoss loss =
            model->masked_lm_loss(tape, batch.input, masked, 0.125, {.training = true, .seed = 3, .step = 17});
        for (std::int64_t row = 0; row < 4; ++row) trained.losses.push_back(loss.loss.as<double>()[row]);
        tape.backward();
    }
    wait_for(device);
    const HostCopy gradients(model->parameters().gradients());
    const float* const begin = gradients.tensor().as<float>();
    trained.gradients.assign(begin, begin + gradients.tensor().count());
    return trained;
}

// Every loss, and each parameter's gradient against the largest of that parameter.
void expect_same(const ModelSettings& settings, const Trained& got, const Trained& expected) {
    for (std::size_t n = 0; n < expected.losses.size(); ++n) EXPECT_NEAR(got.losses[n], expected.losses[n], 2e-5) << n;
    const MaskedLanguageModel model(settings, DType::float32);
    std::size_t begin = 0;
    for (const Parameter& parameter : model.parameters().all()) {
        const auto count = static_cast<std::size_t>(parameter.value.count());
        float largest = 0, difference = 0;
        for (std::size_t n = begin; n < begin + count; ++n) {
            largest = std::max(largest, std::abs(expected.gradients[n]));
            const float one = std::abs(got.gradients[n] - expected.gradients[n]);
            if (!(one <= difference)) difference = one;
        }
        EXPECT_LE(difference, 1e-4F * largest + 1e-6F) << parameter.name;
        begin += count;
    }
}

void expect_same_on_each_gpu(ModelSettings settings, DType arithmetic = DType::float32) {
    settings.hidden_dropout = 0.3;
    settings.attention_dropout = 0.4;
    const Trained expected = train_on(Device::cpu, settings, arithmetic);
    for (const Device device : {Device::simt, Device::cuda}) {
        if (!is_available(device)) continue;
        SCOPED_TRACE(name_of(device));
        expect_same(settings, train_on(device, settings, arithmetic), expected);
    }
}

class OnAGpu : public ::testing::TestWithParam<std::string> {};

std::vector<std::string> all_encodings() {
    std::vector<std::string> names;
    for (const EncodingEntry& entry : encoding_registry()) names.emplace_back(entry.name);
    return names;
}
INSTANTIATE_TEST_SUITE_P(All, OnAGpu, ::testing::ValuesIn(all_encodings()),
                         [](const auto& info) { return info.param; });

TEST_P(OnAGpu, AModelTrainsAsOnTheProcessor) {
    ModelSettings settings = small_settings(GetParam());
    if (GetParam() == "randomized" || GetParam() == "shape")
        settings.position.insert(settings.position.begin(), default_position("absolute"));
    expect_same_on_each_gpu(settings);
}

TEST(ModelOnAGpu, TrainsDebertaWithEverythingThatItHas) {
    for (const char* const architecture : {"deberta", "deberta-v2"}) {
        ModelSettings settings = small_settings("disentangled");
        settings.architecture = architecture;
        settings.mask_decoder = "enhanced";
        settings.convolution.kernel = 3;
        settings.embedding_size = 4;
        expect_same_on_each_gpu(settings);
    }
}

TEST(ModelOnAGpu, TrainsWithAWindowAndLogN) {
    ModelSettings settings = small_settings("relative_key");
    settings.attention.window = 2;
    settings.attention.logn = true;
    settings.train_length = 8;
    expect_same_on_each_gpu(settings);
}

TEST(ModelOnAGpu, RecomputesAsOnTheProcessor) {
    ModelSettings settings = small_settings("absolute");
    settings.recompute = true;
    expect_same_on_each_gpu(settings);
}

TEST(ModelOnAGpu, RoundsTheOperandsOfProductsToBfloat16) {
    expect_same_on_each_gpu(small_settings("absolute"), DType::bfloat16);
}

TEST(ModelOnAGpu, GivesTheSameBitsTwice) {
    for (const Device device : {Device::simt, Device::cuda}) {
        if (!is_available(device)) continue;
        ModelSettings settings = small_settings("disentangled");
        settings.hidden_dropout = 0.3;
        const Trained once = train_on(device, settings), again = train_on(device, settings);
        EXPECT_EQ(once.losses, again.losses);
        EXPECT_EQ(once.gradients, again.gradients);
    }
}

TEST(ModelOnAGpu, GivesTheSameBitsInEveryOrderOfThreads) {
    ModelSettings settings = small_settings("disentangled");
    settings.hidden_dropout = 0.3;
    settings.attention_dropout = 0.2;
    const Trained expected = train_on(Device::simt, settings);
    for (const simt::Order order : {simt::Order::backward, simt::Order::shuffled}) {
        simt::set_order(order);
        const Trained got = train_on(Device::simt, settings);
        simt::set_order(simt::Order::forward);
        EXPECT_EQ(got.losses, expected.losses);
        EXPECT_EQ(got.gradients, expected.gradients);
    }
}

}  // namespace
}  // namespace locus
