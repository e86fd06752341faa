// locus forward: logits and hidden states of token ids in a safetensors file, for comparison with other programs.

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include <fmt/format.h>

#include "kernels/device.h"
#include "kernels/memory.h"
#include "train/commands.h"
#include "train/device_name.h"
#include "train/error.h"
#include "train/model_folder.h"
#include "train/safetensors.h"
#include "train/threads.h"
#include "train/too_long.h"

namespace locus {

namespace {

/// A [B, S] tensor of integers from the input file.
struct IntegerMatrix {
    std::int64_t rows = 0, columns = 0;
    std::vector<std::int64_t> values;
};

template <class T>
std::vector<std::int64_t> widen(const StoredTensor& stored) {
    std::vector<T> exact(stored.bytes / sizeof(T));
    if (stored.bytes > 0) std::memcpy(exact.data(), stored.data, stored.bytes);
    return {exact.begin(), exact.end()};
}

IntegerMatrix read_integers(const SafetensorsFile& file, const std::string& name) {
    const StoredTensor& stored = file.at(name);
    if (stored.shape.size() != 2) {
        throw FileError(fmt::format("{}: {} has {} axes, and must be [batch, sequence]", file.path().string(), name,
                                    stored.shape.size()));
    }
    IntegerMatrix matrix{stored.shape[0], stored.shape[1], {}};
    if (stored.dtype == "I64") {
        matrix.values = widen<std::int64_t>(stored);
    } else if (stored.dtype == "I32") {
        matrix.values = widen<std::int32_t>(stored);
    } else {
        throw FileError(
            fmt::format("{}: {} is of type {}, and must be I64 or I32", file.path().string(), name, stored.dtype));
    }
    return matrix;
}

/// The input, checked: every matrix [B, S], values in range.
struct ForwardInput {
    IntegerMatrix ids, mask, types;  // mask and types filled with 1 and 0 where the file has none
};

void check_range(const SafetensorsFile& file, const char* name, const IntegerMatrix& matrix, std::int64_t limit) {
    for (std::size_t i = 0; i < matrix.values.size(); ++i) {
        if (matrix.values[i] >= 0 && matrix.values[i] < limit) continue;
        throw FileError(fmt::format("{}: {}[{}, {}] is {}, and must be at least 0 and below {}", file.path().string(),
                                    name, static_cast<std::int64_t>(i) / matrix.columns,
                                    static_cast<std::int64_t>(i) % matrix.columns, matrix.values[i], limit));
    }
}

IntegerMatrix read_optional(const SafetensorsFile& file, const char* name, const IntegerMatrix& ids,
                            std::int64_t initial) {
    if (file.tensors().count(name) == 0) {
        return {ids.rows, ids.columns, std::vector<std::int64_t>(ids.values.size(), initial)};
    }
    IntegerMatrix matrix = read_integers(file, name);
    if (matrix.rows == ids.rows && matrix.columns == ids.columns) return matrix;
    throw FileError(fmt::format("{}: {} is [{}, {}], and input_ids is [{}, {}]", file.path().string(), name,
                                matrix.rows, matrix.columns, ids.rows, ids.columns));
}

ForwardInput read_input(const SafetensorsFile& file, const ModelSettings& settings) {
    for (const auto& [name, stored] : file.tensors()) {
        if (name == "input_ids" || name == "attention_mask" || name == "token_type_ids") continue;
        throw FileError(fmt::format("{}: {} is not read; known: input_ids, attention_mask, token_type_ids",
                                    file.path().string(), name));
    }
    ForwardInput input;
    input.ids = read_integers(file, "input_ids");
    if (input.ids.values.empty()) throw FileError(fmt::format("{}: input_ids is empty", file.path().string()));
    input.mask = read_optional(file, "attention_mask", input.ids, 1);
    input.types = read_optional(file, "token_type_ids", input.ids, 0);
    check_range(file, "input_ids", input.ids, settings.vocab_size);
    check_range(file, "attention_mask", input.mask, 2);
    check_range(file, "token_type_ids", input.types, std::max<std::int64_t>(settings.token_types, 1));
    return input;
}

/// Some sequences of the input as a ragged batch: padding is left out, every row keeps its column as its position.
struct RaggedRows {
    std::vector<std::int32_t> ids, types, positions, offsets{0};
    std::vector<std::int64_t> places;  // of each row, in the input as one long line

    ModelInput input() {
        ModelInput made;
        const auto view = [](std::vector<std::int32_t>& values) {
            return Tensor(values.data(), {static_cast<std::int64_t>(values.size())}, DType::int32);
        };
        made.ids = view(ids);
        made.token_types = view(types);
        made.rows = {view(offsets), view(positions)};
        made.longest = 1 + *std::max_element(positions.begin(), positions.end());
        return made;
    }
};

RaggedRows ragged_rows(const ForwardInput& input, std::int64_t first, std::int64_t last) {
    RaggedRows ragged;
    const std::int64_t columns = input.ids.columns;
    for (std::int64_t sequence = first; sequence < last; ++sequence) {
        for (std::int64_t column = 0; column < columns; ++column) {
            const std::int64_t place = sequence * columns + column;
            const auto index = static_cast<std::size_t>(place);
            if (input.mask.values[index] == 0) continue;
            ragged.ids.push_back(static_cast<std::int32_t>(input.ids.values[index]));
            ragged.types.push_back(static_cast<std::int32_t>(input.types.values[index]));
            ragged.positions.push_back(static_cast<std::int32_t>(column));
            ragged.places.push_back(place);
        }
        ragged.offsets.push_back(static_cast<std::int32_t>(ragged.ids.size()));
    }
    return ragged;
}

/// The output tensors: [B, S, width], zero where the input is padding.
class ForwardOutput {
public:
    ForwardOutput(const ForwardInput& input, const ModelSettings& settings)
        : batch_(input.ids.rows), length_(input.ids.columns) {
        add("logits", settings.vocab_size);
        for (std::int64_t layer = 0; layer <= settings.layers; ++layer)
            add(fmt::format("hidden_states.{}", layer), settings.hidden);
    }

    /// Copies `rows` [rows, width] to the places they came from.
    void scatter(std::size_t tensor, const Tensor& rows, const std::vector<std::int64_t>& places) {
        const std::int64_t width = rows.shape[1];
        const HostCopy here(rows);
        const float* from = here.tensor().as<float>();
        float* to = static_cast<float*>(buffers_[tensor].data());
        for (std::size_t row = 0; row < places.size(); ++row) {
            std::copy_n(from + static_cast<std::int64_t>(row) * width, width, to + places[row] * width);
        }
    }

    const std::vector<NamedTensor>& tensors() const { return tensors_; }

private:
    void add(const std::string& name, std::int64_t width) {
        const Shape shape{batch_, length_, width};
        buffers_.emplace_back(static_cast<std::size_t>(shape.count()) * sizeof(float));
        tensors_.push_back({name, Tensor(buffers_.back().data(), shape, DType::float32)});
    }

    std::int64_t batch_, length_;
    std::vector<Buffer> buffers_;
    std::vector<NamedTensor> tensors_;
};

constexpr std::size_t logits_tensor = 0, first_hidden_tensor = 1;

void run_sequences(const MaskedLanguageModel& model, RaggedRows& ragged, Arena& arena, ForwardOutput& output) {
    if (ragged.ids.empty()) return;  // nothing but padding
    Tape tape(arena);
    tape.set_recording(false);
    const Var encoded = model.encode(tape, ragged.input(), RunMode{}, [&](std::int64_t layer, const Tensor& hidden) {
        output.scatter(first_hidden_tensor + static_cast<std::size_t>(layer), hidden, ragged.places);
    });
    output.scatter(logits_tensor, model.logits(tape, encoded, ragged.input(), {}).value(), ragged.places);
}

}  // namespace

int run_forward(const ForwardCommand& command) {
    use_threads(command.threads);
    const LoadedModel loaded = load_model(command.model);
    loaded.model->move_to(device_named(command.device, DType::float32));
    const MaskedLanguageModel& model = *loaded.model;
    const SafetensorsFile file(command.input);
    const ForwardInput input = read_input(file, model.settings());
    const std::int64_t batch = input.ids.rows, length = input.ids.columns;
    if (is_too_long(model, length)) {
        throw FileError(
            explain_too_long(model, fmt::format("{}: input_ids has sequences of {}", command.input, length)));
    }
    ForwardOutput output(input, model.settings());
    Arena arena(model.device());
    const std::int64_t at_once = std::max<std::int64_t>(1, 4096 / length);  // bounds the memory of the logits
    for (std::int64_t first = 0; first < batch; first += at_once) {
        RaggedRows ragged = ragged_rows(input, first, std::min(batch, first + at_once));
        run_sequences(model, ragged, arena, output);
    }
    write_safetensors(command.output, output.tensors());
    return exit_done;
}

}  // namespace locus
