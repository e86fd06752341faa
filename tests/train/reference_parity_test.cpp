// Against Hugging Face's BertForMaskedLM, on the tensors that scripts/make_reference_tensors.py wrote: hidden states of every layer, logits, loss,
// every gradient, and the losses of twenty AdamW steps. Biases, norms and tables are away from their initial values, sizes are odd, and
// there is padding on either side.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <vector>

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
INSTANTIATE_TEST_SUITE_P(Bert, Parity,
                         ::testing::Values("bert_absolute", "bert_relative_key", "bert_relative_key_query"),
                         [](const auto& info) { return std::string(info.param); });

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

TEST_P(Parity, HiddenStatesOfEveryLayerAndLogits) {
    const LoadedModel loaded = load_model(folder, DType::float64);
    const Unpadded rows = batch();
    Arena arena;
    Tape tape(arena);
    tape.set_recording(false);
    std::int64_t layers_seen = 0;
    const Var encoded = loaded.model->encode(tape, rows.input, {}, [&](std::int64_t layer, const Tensor& hidden) {
        const std::string name = "hidden_states." + std::to_string(layer);
        expect_rows_equal(hidden, numbers(reference, name), rows, name);
        ++layers_seen;
    });
    EXPECT_EQ(layers_seen, loaded.model->settings().layers + 1);
    expect_rows_equal(loaded.model->logits(tape, encoded, rows.input, {}).value(), numbers(reference, "logits"), rows, "logits");
}

TEST_P(Parity, LossAndEveryGradient) {
    const LoadedModel loaded = load_model(folder, DType::float64);
    const Unpadded rows = batch();
    Arena arena;
    Tape tape(arena);
    const double scale = 1.0 / static_cast<double>(rows.targets.size());
    const MaskedLoss result = loaded.model->masked_lm_loss(tape, rows.input, rows.masked, scale, {});
    double loss = 0;
    for (std::size_t m = 0; m < rows.targets.size(); ++m) loss += scale * result.loss.as<double>()[m];
    tape.backward();
    EXPECT_NEAR(loss, numbers(reference, "loss")[0], 1e-5);
    for (const Parameter& parameter : loaded.model->parameters().all()) {
        const std::vector<double> expected = numbers(reference, "grad." + parameter.name);
        ASSERT_EQ(static_cast<std::int64_t>(expected.size()), parameter.value.count()) << parameter.name;
        double largest = 0;
        for (std::size_t n = 0; n < expected.size(); ++n) {
            const double error = std::abs(parameter.gradient.as<double>()[n] - expected[n]);
            if (!(error <= largest)) largest = error;
        }
        EXPECT_LE(largest, 1e-5) << parameter.name;
    }
}

TEST_P(Parity, LossesOfTwentyAdamWSteps) {
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
        optimizer.update(static_cast<std::int64_t>(step) + 1, 1e-3, optimizer.gradient_norm());
    }
}

}  // namespace
}  // namespace locus
