// A model computes on a GPU what it computes on the processor: loss, every gradient, with dropout. On the machines where most of the work is done the
// GPU is the host's stand-in (kernels/simt.h), where the host cannot touch device memory by mistake.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "kernels/device.h"
#include "kernels/round_to_bfloat16.h"
#include "kernels/simt.h"
#include "model/position/position_encoding.h"
#include "tests/gpus.h"
#include "tests/model/small_model.h"

namespace locus {
namespace {

using testing::perturbed_model;
using testing::RaggedBatch;
using testing::small_settings;

/// Lengths of a micro-batch's sequences, and four rows of theirs that are masked.
struct Lengths {
    std::vector<std::int32_t> of_sequences, masked_rows = {0, 3, 5, 6};
};

/// What some micro-batches of training leave.
struct Trained {
    std::vector<double> losses;
    std::vector<float> gradients;
};

Trained train_on(Device device, const ModelSettings& settings, Arithmetic arithmetic = DType::float32,
                 double deviation = 0.3, const std::vector<Lengths>& batches = {{{4, 1, 3}}, {{2, 7}}}) {
    const auto model = perturbed_model(settings, arithmetic, deviation);
    model->move_to(device);
    Trained trained;
    Arena arena(device);
    for (Lengths lengths : batches) {
        std::vector<std::int32_t> targets = {1, 4, 9, 2};
        const MaskedTargets masked = {Tensor(lengths.masked_rows.data(), {4}, DType::int32),
                                      Tensor(targets.data(), {4}, DType::int32)};
        const RaggedBatch batch(lengths.of_sequences, 11);
        Tape tape(arena);
        const MaskedLoss loss = on_host(
            tape, model->masked_lm_loss(tape, batch.input, masked, 0.125, {.training = true, .seed = 3, .step = 17}));
        for (std::int64_t row = 0; row < 4; ++row) trained.losses.push_back(loss.loss.as<double>()[row]);
        tape.backward();
    }
    wait_for(device);
    const HostCopy gradients(model->parameters().gradients());
    const float* const begin = gradients.tensor().as<float>();
    trained.gradients.assign(begin, begin + gradients.tensor().count());
    return trained;
}

struct Tolerance {
    double loss;
    float of_largest;  // times the largest gradient of the parameter
    float absolute;
};

// Every loss, and each parameter's gradient against the largest of that parameter.
void expect_same(const ModelSettings& settings, const Trained& got, const Trained& expected,
                 const Tolerance& tolerance) {
    for (std::size_t n = 0; n < expected.losses.size(); ++n)
        EXPECT_NEAR(got.losses[n], expected.losses[n], tolerance.loss) << n;
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
        EXPECT_LE(difference, tolerance.of_largest * largest + tolerance.absolute) << parameter.name;
        begin += count;
    }
}

ModelSettings with_dropout(ModelSettings settings) {
    settings.hidden_dropout = 0.3;
    settings.attention_dropout = 0.4;
    return settings;
}

void expect_same_on_each_gpu(const ModelSettings& given) {
    const ModelSettings settings = with_dropout(given);
    const Trained expected = train_on(Device::cpu, settings);
    for (const Device device : test::gpus()) {
        SCOPED_TRACE(name_of(device));
        expect_same(settings, train_on(device, settings), expected,
                    {.loss = 2e-5, .of_largest = 1e-4F, .absolute = 1e-6F});
    }
}

// Beside float32 on the processor. A few channels with large weights would turn the last of bfloat16's three digits into the first of a gradient: so there
// are more channels here, and smaller weights. Most gradients are then within a hundredth of their parameter's largest.
void expect_bfloat16_is_close_on_each_gpu(const ModelSettings& given, std::int64_t hidden = 12) {
    ModelSettings settings = with_dropout(given);
    settings.hidden = hidden;
    settings.feed_forward = 10;
    constexpr double deviation = 0.1;
    const Trained expected = train_on(Device::cpu, settings, DType::float32, deviation);
    for (const Device device : test::gpus()) {
        SCOPED_TRACE(name_of(device));
        expect_same(settings, train_on(device, settings, DType::bfloat16, deviation), expected,
                    {.loss = 2e-2, .of_largest = 8e-2F, .absolute = 3e-4F});
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

ModelSettings settings_with(const std::string& encoding) {
    ModelSettings settings = small_settings(encoding);
    if (encoding == "randomized" || encoding == "shape")
        settings.position.insert(settings.position.begin(), default_position("absolute"));
    return settings;
}

TEST_P(OnAGpu, AModelTrainsAsOnTheProcessor) { expect_same_on_each_gpu(settings_with(GetParam())); }

// A sequence of 2,048 tokens and one of a single token. The model is as small as it can be: the stand-in needs seconds, nearly all of them for four million
// pairs of a query and a key.
TEST_P(OnAGpu, AModelTrainsOnLongSequencesAsOnTheProcessor) {
    ModelSettings settings = settings_with(GetParam());
    settings.layers = 1;
    settings.hidden = 8;
    settings.heads = 1;
    settings.max_length = 2048;
    const std::vector<Lengths> lengths = {{{2048, 1}, {0, 701, 2047, 2048}}};
    const Trained expected = train_on(Device::cpu, settings, DType::float32, 0.3, lengths);
    for (const Device device : test::gpus()) {
        SCOPED_TRACE(name_of(device));
        expect_same(settings, train_on(device, settings, DType::float32, 0.3, lengths), expected,
                    {.loss = 2e-5, .of_largest = 1e-4F, .absolute = 1e-6F});
    }
}

TEST_P(OnAGpu, AModelTrainsWithBfloat16AsWithFloat32) {
    expect_bfloat16_is_close_on_each_gpu(settings_with(GetParam()));
}

ModelSettings deberta_with_everything(const std::string& architecture) {
    ModelSettings settings = small_settings("disentangled");
    settings.architecture = architecture;
    settings.mask_decoder = "enhanced";
    settings.convolution.kernel = 3;
    settings.embedding_size = 4;
    return settings;
}

TEST(ModelOnAGpu, TrainsDebertaWithEverythingThatItHas) {
    for (const char* const architecture : {"deberta", "deberta-v2"})
        expect_same_on_each_gpu(deberta_with_everything(architecture));
}

TEST(ModelOnAGpu, TrainsDebertaWithBfloat16) {
    for (const char* const architecture : {"deberta", "deberta-v2"}) {
        for (const char* const activation : {"tanh", "gelu"}) {
            ModelSettings settings = deberta_with_everything(architecture);
            settings.convolution.activation = activation;
            expect_bfloat16_is_close_on_each_gpu(settings);
        }
    }
}

// Two heads of 32: attention on tensor cores (kernels/attention_fused.cu), with tables of its queries and keys, with further channels or with neither.
TEST(ModelOnAGpu, TrainsOnTensorCoresAsWithFloat32) {
    for (const char* const encoding : {"disentangled", "shaw", "tupe", "t5_bias", "absolute"}) {
        SCOPED_TRACE(encoding);
        expect_bfloat16_is_close_on_each_gpu(small_settings(encoding), 64);
    }
}

TEST(ModelOnAGpu, TrainsTheEnhancedDecoderOnTensorCoresAsWithFloat32) {
    for (const char* const architecture : {"deberta", "deberta-v2"})
        expect_bfloat16_is_close_on_each_gpu(deberta_with_everything(architecture), 64);
    ModelSettings biases = small_settings("t5_bias");
    biases.mask_decoder = "enhanced";
    expect_bfloat16_is_close_on_each_gpu(biases, 64);
}

// The one place where an encoding adds to what is bfloat16 already.
TEST(ModelOnAGpu, AddsPositionsAtTheOutputToBfloat16) {
    for (const char* const beyond : {"error", "random", "interp"}) {
        SCOPED_TRACE(beyond);
        ModelSettings settings = small_settings("absolute");
        settings.position[0].options["site"] = std::string("output");
        settings.position[0].options["beyond"] = std::string(beyond);
        if (std::string(beyond) != "error") settings.max_length = 4;
        expect_bfloat16_is_close_on_each_gpu(settings);
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

// What is stored from the first block to the logits; the logits themselves and the losses are not.
TEST(ModelOnAGpu, StoresActivationsAsBfloat16) {
    for (const Device device : test::cpu_and_gpus()) {
        SCOPED_TRACE(name_of(device));
        const DType expected = device == Device::cpu ? DType::float32 : DType::bfloat16;
        const auto model = perturbed_model(small_settings("absolute"), DType::bfloat16);
        model->move_to(device);
        Arena arena(device);
        Tape tape(arena);
        tape.set_recording(false);
        const RaggedBatch batch({4, 1, 3}, 11);
        std::int64_t seen = 0;
        const Var encoded = model->encode(tape, batch.input, {}, [&](std::int64_t, const Tensor& hidden) {
            EXPECT_EQ(hidden.dtype, expected);
            ++seen;
        });
        EXPECT_EQ(seen, 3);
        EXPECT_EQ(model->logits(tape, encoded, batch.input, {}).value().dtype, DType::float32);
    }
}

// y = x + (x as bfloat16): a third is rounded once on the way there and once on the way back.
TEST(ModelOnAGpu, ConvertsValuesAndGradients) {
    constexpr float third = 1.0F / 3, rounded = 0x1.56p-2F;
    for (const Device device : test::gpus()) {
        Parameters parameters(DType::float32);
        Parameter& x = parameters.declare("x", {2, 3}, std::vector<double>(6, third));
        parameters.allocate();
        parameters.initialize(1, 1.0);
        parameters.move_to(device);
        Arena arena(device);
        Tape tape(arena);
        const Var narrow = convert(tape, tape.parameter(x), DType::bfloat16);
        EXPECT_EQ(narrow.value().dtype, DType::bfloat16);
        EXPECT_EQ(convert(tape, narrow, DType::bfloat16), narrow);
        const Var y = add(tape, convert(tape, narrow, DType::float32), tape.parameter(x));
        std::vector<float> thirds(6, third);
        const HostCopy copied(y.value());
        const Tensor& value = copied.tensor();
        tape.backward(y, tape.resident(Tensor(thirds.data(), {2, 3}, DType::float32)));
        const HostCopy gradient(x.gradient);
        for (std::int64_t n = 0; n < 6; ++n) {
            EXPECT_EQ(value.as<float>()[n], rounded + third);
            EXPECT_EQ(gradient.tensor().as<float>()[n], rounded + third);
        }
    }
}

// A hidden size of which every weight but the last few begins at a multiple of 16 bytes.
ModelSettings aligned_settings() {
    ModelSettings settings = small_settings("disentangled");
    settings.hidden = 16;
    settings.feed_forward = 24;
    settings.vocab_size = 16;
    return settings;
}

double loss_of(const MaskedLanguageModel& model) {
    std::vector<std::int32_t> rows = {0, 3, 5, 6}, targets = {1, 4, 9, 2};
    const MaskedTargets masked = {Tensor(rows.data(), {4}, DType::int32), Tensor(targets.data(), {4}, DType::int32)};
    Arena arena(model.device());
    Tape tape(arena);
    const RaggedBatch batch({4, 1, 3}, 11);
    const MaskedLoss loss = on_host(tape, model.masked_lm_loss(tape, batch.input, masked, 0.25, {}));
    double sum = 0;
    for (std::int64_t row = 0; row < 4; ++row) sum += loss.loss.as<double>()[row];
    return sum;
}

// Whoever changes the values, as the optimizer does, need not think of what is kept beside them.
TEST(ModelOnAGpu, AForwardPassRoundsTheWeightsOfItsTime) {
    for (const Device device : test::gpus()) {
        const auto first = perturbed_model(aligned_settings(), DType::bfloat16, 0.3);
        const auto second = perturbed_model(aligned_settings(), DType::bfloat16, 0.2);
        first->move_to(device);
        second->move_to(device);
        const double of_first = loss_of(*first), of_second = loss_of(*second);
        EXPECT_NE(of_first, of_second);
        copy(second->parameters().values(), first->parameters().values());
        EXPECT_EQ(loss_of(*first), of_second);
    }
}

TEST(ModelOnAGpu, ProductsTakeTheWeightsThatAreRounded) {
    for (const Device device : test::gpus()) {
        const auto model = perturbed_model(aligned_settings(), DType::bfloat16);
        model->move_to(device);
        Parameters& parameters = model->parameters();
        parameters.round();
        const HostCopy values(parameters.values());
        std::vector<float> expected(static_cast<std::size_t>(parameters.count()));
        round_to_bfloat16({.x = values.tensor().reshape({1, parameters.count()}),
                           .y = Tensor(expected.data(), {1, parameters.count()}, DType::float32)});
        Arena arena(device);
        Tape tape(arena);
        const float* next = expected.data();
        for (const Parameter& parameter : parameters.all()) {
            const Tensor operand = tape.parameter(parameter).operand();
            ASSERT_EQ(operand.dtype, DType::bfloat16) << parameter.name;
            ASSERT_EQ(operand.shape, parameter.value.shape) << parameter.name;
            const HostCopy rounded(operand);
            for (std::int64_t n = 0; n < operand.count(); ++n) {
                const std::uint32_t bits = std::uint32_t{rounded.tensor().as<bfloat16_t>()[n].bits} << 16U;
                ASSERT_EQ(std::bit_cast<float>(bits), *next++) << parameter.name << " " << n;
            }
        }
        const Parameter &table = parameters.all().front(), rows = rows_of(table, 3, 7);
        EXPECT_EQ(rows.rounded.shape, rows.value.shape);
        EXPECT_EQ(rows.rounded.as<bfloat16_t>(), table.rounded.as<bfloat16_t>() + 3 * 16);
    }
}

// With and without the copies: the same roundings, so the same bits. On a GPU a library might add up in another order.
TEST(ModelOnAGpu, WeightsThatAreRoundedBeforehandGiveTheSameBits) {
    constexpr Device device = Device::simt;
    Parameters parameters(DType::float32);
    Parameter &first = parameters.declare("first", {8, 16}), &odd = parameters.declare("odd", {3}),
              &behind = parameters.declare("behind", {8, 16});
    parameters.allocate();
    parameters.initialize(1, 1.0);
    parameters.move_to(device);
    const auto products = [&] {
        Arena arena(device);
        Tape tape(arena);
        tape.set_rounding(Rounding::bfloat16);
        std::vector<float> numbers;
        const Var x = convert(tape, tape.constant(first.value), DType::bfloat16);
        for (const Parameter* weight : {&first, &behind}) {
            const HostCopy y(convert(tape, linear(tape, x, tape.parameter(*weight)), DType::float32).value());
            numbers.insert(numbers.end(), y.tensor().as<float>(), y.tensor().as<float>() + 64);
        }
        return numbers;
    };
    const std::vector<float> expected = products();
    parameters.keep_rounded();
    EXPECT_TRUE(first.rounded);
    EXPECT_TRUE(odd.rounded);
    EXPECT_FALSE(behind.rounded);  // it begins between two multiples of 16 bytes
    parameters.round();
    EXPECT_EQ(products(), expected);
}

TEST(ModelOnAGpu, TrainsWithTf32AsWithFloat32) {
    const ModelSettings settings = with_dropout(small_settings("disentangled"));
    const Trained expected = train_on(Device::cpu, settings);
    for (const Device device : test::gpus()) {
        const Trained got = train_on(device, settings, {DType::float32, Rounding::tf32});
        expect_same(settings, got, expected, {.loss = 2e-2, .of_largest = 2e-2F, .absolute = 1e-4F});
        double difference = 0;
        for (std::size_t n = 0; n < got.losses.size(); ++n)
            difference = std::max(difference, std::abs(got.losses[n] - expected.losses[n]));
        EXPECT_GT(difference, 2e-5);  // above what separates float32 here from float32 there
    }
}

TEST(ModelOnAGpu, RecomputesTheSameBitsInBfloat16) {
    for (const Device device : test::gpus()) {
        ModelSettings settings = deberta_with_everything("deberta-v2");
        settings.hidden_dropout = 0.3;
        const Trained kept = train_on(device, settings, DType::bfloat16);
        settings.recompute = true;
        const Trained again = train_on(device, settings, DType::bfloat16);
        EXPECT_EQ(kept.losses, again.losses);
        EXPECT_EQ(kept.gradients, again.gradients);
    }
}

TEST(ModelOnAGpu, GivesTheSameBitsTwice) {
    for (const Device device : test::gpus()) {
        ModelSettings settings = small_settings("disentangled");
        settings.hidden_dropout = 0.3;
        for (const DType arithmetic : {DType::float32, DType::bfloat16}) {
            const Trained once = train_on(device, settings, arithmetic), again = train_on(device, settings, arithmetic);
            EXPECT_EQ(once.losses, again.losses);
            EXPECT_EQ(once.gradients, again.gradients);
        }
    }
}

TEST(ModelOnAGpu, GivesTheSameBitsInEveryOrderOfThreads) {
    ModelSettings settings = small_settings("disentangled");
    settings.hidden_dropout = 0.3;
    settings.attention_dropout = 0.2;
    for (const DType arithmetic : {DType::float32, DType::bfloat16}) {
        const Trained expected = train_on(Device::simt, settings, arithmetic);
        for (const simt::Order order : {simt::Order::backward, simt::Order::shuffled}) {
            simt::set_order(order);
            const Trained got = train_on(Device::simt, settings, arithmetic);
            simt::set_order(simt::Order::forward);
            EXPECT_EQ(got.losses, expected.losses);
            EXPECT_EQ(got.gradients, expected.gradients);
        }
    }
}

}  // namespace
}  // namespace locus
