// Against Hugging Face's BERT and DeBERTa, and against Microsoft's DeBERTa with the enhanced mask decoder, on the tensors that
// scripts/make_reference_tensors.py and scripts/make_deberta_reference_tensors.py wrote: hidden states of every layer, logits, loss, every
// gradient, the saved file, and for BERT the losses of twenty AdamW steps. Biases, norms and tables are away from their initial values, sizes
// are odd, and there is padding on either side.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <vector>

#include "model/hugging_face.h"
#include "tests/train/temporary_folder.h"
#include "train/model_folder.h"
#include "train/optimizer.h"
#include "train/safetensors.h"

namespace locus {
namespace {

const std::filesystem::path fixtures = std::filesystem::path(LOCUS_SOURCE_DIR) / "tests/fixtures";

Shape shape_of(const StoredTensor& stored) {
    switch (stored.shape.size()) {
        case 0: return {};
        case 1: return {stored.shape[0]};
        case 2: return {stored.shape[0], stored.shape[1]};
        default: return {stored.shape[0], stored.shape[1], stored.shape[2]};
    }
}

template <class T>
std::vector<T> values_of(const SafetensorsFile& file, const std::string& name) {
    const StoredTensor& stored = file.at(name);
    const Shape shape = shape_of(stored);
    std::vector<T> values(static_cast<std::size_t>(shape.count()));
    copy_stored(stored, name, Tensor(values.data(), shape, dtype_of<T>()));
    return values;
}

std::vector<std::int32_t> integers(const SafetensorsFile& file, const std::string& name) {
    return values_of<std::int32_t>(file, name);
}

std::vector<double> numbers(const SafetensorsFile& file, const std::string& name) {
    return values_of<double>(file, name);
}

// A padded batch [sequences, length] as a ragged one: rows with mask 1, each at its own column.
struct Unpadded {
    std::vector<std::int32_t> ids, types, offsets = {0}, positions, masked_rows, targets;
    std::vector<std::size_t> cell;  // of each row, in the padded batch
    ModelInput input;
    MaskedTargets masked;

    Unpadded(const std::int32_t* input_ids, const std::int32_t* mask, const std::int32_t* token_types,
             const std::int32_t* labels, std::size_t sequences, std::size_t length) {
        for (std::size_t s = 0; s < sequences; ++s) {
            for (std::size_t i = 0; i < length; ++i) {
                const std::size_t at = s * length + i;
                if (mask[at] == 0) continue;
                if (labels[at] >= 0) {
                    masked_rows.push_back(static_cast<std::int32_t>(ids.size()));
                    targets.push_back(labels[at]);
                }
                ids.push_back(input_ids[at]);
                types.push_back(token_types[at]);
                positions.push_back(static_cast<std::int32_t>(i));
                cell.push_back(at);
            }
            offsets.push_back(static_cast<std::int32_t>(ids.size()));
        }
        const auto tensor = [](std::vector<std::int32_t>& values) {
            return Tensor(values.data(), {static_cast<std::int64_t>(values.size())}, DType::int32);
        };
        input = {.ids = tensor(ids), .token_types = tensor(types), .rows = {tensor(offsets), tensor(positions)}};
        input.longest = static_cast<std::int64_t>(length);
        masked = {tensor(masked_rows), tensor(targets)};
    }
};

class Parity : public ::testing::TestWithParam<const char*> {
protected:
    std::filesystem::path folder = fixtures / GetParam();
    SafetensorsFile reference{folder / "reference.safetensors"};

    // Names of a batch's tensors begin with one of these.
    std::vector<std::string> batches() const {
        std::vector<std::string> prefixes = {""};
        for (const char* prefix : {"equal.", "short."})
            if (has(std::string(prefix) + "loss")) prefixes.emplace_back(prefix);
        return prefixes;
    }
    bool has(const std::string& name) const { return reference.tensors().count(name) > 0; }

    Unpadded batch(const std::string& prefix = "", std::size_t step = 0) const {
        const auto& shape = reference.at(prefix + "input_ids").shape;
        const std::size_t sequences = static_cast<std::size_t>(shape[shape.size() - 2]);
        const std::size_t length = static_cast<std::size_t>(shape.back()), skip = step * sequences * length;
        const auto ids = integers(reference, prefix + "input_ids"),
                   mask = integers(reference, prefix + "attention_mask");
        const auto types = integers(reference, prefix + "token_type_ids"),
                   labels = integers(reference, prefix + "labels");
        return Unpadded(ids.data() + skip, mask.data() + skip, types.data() + skip, labels.data() + skip, sequences,
                        length);
    }
};
std::string name_of_case(const ::testing::TestParamInfo<const char*>& info) { return info.param; }

const char* const bert_cases[] = {"bert_absolute", "bert_relative_key", "bert_relative_key_query", "bert_t5_bias"};
INSTANTIATE_TEST_SUITE_P(Bert, Parity, ::testing::ValuesIn(bert_cases), name_of_case);
INSTANTIATE_TEST_SUITE_P(Deberta, Parity,
                         ::testing::Values("deberta_c2p_p2c", "deberta_c2p", "deberta_p2c", "deberta_no_terms",
                                           "deberta_v2_shared_buckets_norm", "deberta_v2_own_projections",
                                           "deberta_v2_convolution", "deberta_v2_everything", "deberta_v2_c2p_biased",
                                           "deberta_v2_p2c_types", "deberta_v2_enhanced",
                                           "deberta_v2_enhanced_own_projections"),
                         name_of_case);

class ParityOfTraining : public Parity {};
INSTANTIATE_TEST_SUITE_P(Bert, ParityOfTraining, ::testing::ValuesIn(bert_cases), name_of_case);

void expect_rows_equal(const Tensor& got, const std::vector<double>& padded, const Unpadded& batch,
                       const std::string& what) {
    const std::size_t columns = static_cast<std::size_t>(got.shape[1]);
    double largest = 0;
    for (std::size_t row = 0; row < batch.cell.size(); ++row) {
        for (std::size_t c = 0; c < columns; ++c) {
            const double expected = padded[batch.cell[row] * columns + c];
            const double error = std::abs(got.as<double>()[row * columns + c] - expected);
            if (!(error <= largest)) largest = error;
        }
    }
    EXPECT_LE(largest, 1e-5) << what;
    EXPECT_GT(batch.cell.size(), 0U);
}

double largest_error(const double* got, const std::vector<double>& expected) {
    double largest = 0;
    for (std::size_t n = 0; n < expected.size(); ++n) {
        const double error = std::abs(got[n] - expected[n]);
        if (!(error <= largest)) largest = error;
    }
    return largest;
}

TEST_P(Parity, HiddenStatesOfEveryLayerAndLogits) {
    const LoadedModel loaded = load_model(folder, DType::float64);
    for (const std::string& prefix : batches()) {
        const Unpadded rows = batch(prefix);
        Arena arena;
        Tape tape(arena);
        tape.set_recording(false);
        std::int64_t layers_seen = 0, layers_compared = 0;
        const Var encoded = loaded.model->encode(tape, rows.input, {}, [&](std::int64_t layer, const Tensor& hidden) {
            const std::string name = prefix + "hidden_states." + std::to_string(layer);
            ++layers_seen;
            if (!has(name)) return;  // Microsoft's list begins after the embeddings
            expect_rows_equal(hidden, numbers(reference, name), rows, name);
            ++layers_compared;
        });
        EXPECT_EQ(layers_seen, loaded.model->settings().layers + 1);
        EXPECT_GE(layers_compared, loaded.model->settings().layers);
        if (has(prefix + "logits")) {
            expect_rows_equal(loaded.model->logits(tape, encoded, rows.input, {}).value(),
                              numbers(reference, prefix + "logits"), rows, prefix + "logits");
        } else {
            const Tensor logits = loaded.model->logits(tape, encoded, rows.input, rows.masked.rows).value();
            const std::vector<double> expected = numbers(reference, prefix + "masked_logits");
            ASSERT_EQ(logits.count(), static_cast<std::int64_t>(expected.size()));
            EXPECT_LE(largest_error(logits.as<double>(), expected), 1e-5) << prefix << "masked_logits";
        }
    }
}

// What the reference has for a parameter's gradient, in our order of rows; zeros where the loss does not reach it.
std::vector<double> expected_gradient(const SafetensorsFile& reference, const std::string& prefix,
                                      const Parameter& parameter, const ModelSettings& settings) {
    std::vector<double> expected(static_cast<std::size_t>(parameter.value.count()), 0.0);
    for (const auto& [name, stored] : reference.tensors()) {
        const std::string beginning = prefix + "grad.";
        if (name.rfind(beginning, 0) != 0) continue;
        if (parameter_name(name.substr(beginning.size()), settings) == parameter.name)
            expected = numbers(reference, name);
    }
    if (parameter.heads_interleaved == 0) return expected;
    std::vector<double> stacked(expected.size());
    stack_heads(Tensor(expected.data(), parameter.value.shape, DType::float64),
                Tensor(stacked.data(), parameter.value.shape, DType::float64), parameter.heads_interleaved);
    return stacked;
}

TEST_P(Parity, LossAndEveryGradient) {
    const LoadedModel loaded = load_model(folder, DType::float64);
    for (const std::string& prefix : batches()) {
        const Unpadded rows = batch(prefix);
        Arena arena;
        Tape tape(arena);
        loaded.model->parameters().zero_gradients();
        const double scale = 1.0 / static_cast<double>(rows.targets.size());
        const MaskedLoss result = loaded.model->masked_lm_loss(tape, rows.input, rows.masked, scale, {});
        double loss = 0;
        for (std::size_t m = 0; m < rows.targets.size(); ++m) loss += scale * result.loss.as<double>()[m];
        tape.backward();
        EXPECT_NEAR(loss, numbers(reference, prefix + "loss")[0], 1e-5) << prefix;
        std::int64_t reached = 0;
        for (const Parameter& parameter : loaded.model->parameters().all()) {
            const std::vector<double> expected =
                expected_gradient(reference, prefix, parameter, loaded.model->settings());
            ASSERT_EQ(static_cast<std::int64_t>(expected.size()), parameter.value.count()) << parameter.name;
            EXPECT_LE(largest_error(parameter.gradient.as<double>(), expected), 1e-5) << prefix << parameter.name;
            reached += std::any_of(expected.begin(), expected.end(), [](double g) { return std::abs(g) > 1e-5; });
        }
        EXPECT_GE(reached, static_cast<std::int64_t>(loaded.model->parameters().all().size()) - 4) << prefix;
    }
}

// Bytes of the tensors that a model reads, by name: what is saved is what was loaded.
TEST_P(Parity, SavedTensorsAreTheLoadedOnes) {
    const LoadedModel loaded = load_model(folder);
    const TemporaryFolder saved;
    save_weights(saved.path(), *loaded.model);
    const SafetensorsFile before(folder / "model.safetensors"), after(saved / "model.safetensors");
    std::size_t compared = 0;
    for (const auto& [name, stored] : before.tensors()) {
        const std::string here = parameter_name(name, loaded.model->settings());
        if (after.tensors().count(here) == 0) {
            EXPECT_NE(classify_foreign(name, loaded.model->settings()), ForeignTensor::unknown) << name;
            continue;
        }
        EXPECT_EQ(values_of<float>(before, name), values_of<float>(after, here)) << name;
        ++compared;
    }
    EXPECT_EQ(compared, after.tensors().size());
    EXPECT_EQ(load_model(saved.path()).model->parameters().count(), loaded.model->parameters().count());
}

TEST_P(ParityOfTraining, LossesOfTwentyAdamWSteps) {
    const LoadedModel loaded = load_model(folder, DType::float32);
    Parameters& parameters = loaded.model->parameters();
    Optimizer optimizer(
        {.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.98, .epsilon = 1e-6, .weight_decay = 0.01, .clip = 1.0},
        parameters);
    const std::vector<double> expected = numbers(reference, "adamw_losses");
    ASSERT_EQ(expected.size(), 20U);
    Arena arena;
    for (std::size_t step = 0; step < expected.size(); ++step) {
        const Unpadded rows = batch("steps.", step);
        const double scale = 1.0 / static_cast<double>(rows.targets.size());
        parameters.zero_gradients();
        Tape tape(arena);
        const MaskedLoss result = loaded.model->masked_lm_loss(tape, rows.input, rows.masked, scale, {});
        double loss = 0;
        for (std::size_t m = 0; m < rows.targets.size(); ++m) loss += scale * result.loss.as<double>()[m];
        tape.backward();
        EXPECT_NEAR(loss, expected[step], 1e-4) << "step " << step + 1;
        optimizer.measure_gradient_norm();
        optimizer.update(static_cast<std::int64_t>(step) + 1, 1e-3);
    }
}

}  // namespace
}  // namespace locus
