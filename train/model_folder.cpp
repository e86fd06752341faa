#include "train/model_folder.h"

#include <fmt/format.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>

#include "kernels/device.h"
#include "model/error.h"
#include "model/hugging_face.h"
#include "model/position/learned_table.h"
#include "train/atomic_file.h"
#include "train/beyond.h"
#include "train/checkpoint.h"
#include "train/error.h"
#include "train/safetensors.h"

namespace locus {
namespace fs = std::filesystem;
namespace {

constexpr const char* weights_file = "model.safetensors";
constexpr const char* index_file = "model.safetensors.index.json";
constexpr const char* pickled_file = "pytorch_model.bin";
constexpr const char* config_file = "config.json";

std::string read_all(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw FileError(path.string() + ": cannot be read");
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

bool is_model_folder(const fs::path& folder) {
    if (!fs::is_regular_file(folder / config_file)) return false;
    for (const char* name : {weights_file, index_file, pickled_file})
        if (fs::is_regular_file(folder / name)) return true;
    return false;
}

// ---- the file or files ----------------------------------------------------------------------------------------------------------------

using Files = std::vector<std::unique_ptr<SafetensorsFile>>;

std::set<std::string> shards_of(const fs::path& index) {
    std::set<std::string> names;
    try {
        const nlohmann::json document = nlohmann::json::parse(read_all(index));
        for (const auto& [tensor, file] : document.at("weight_map").items()) names.insert(file.get<std::string>());
    } catch (const nlohmann::json::exception& error) {
        throw FileError(fmt::format("{}: not an index of safetensors files: {}", index.string(), error.what()));
    }
    for (const std::string& name : names)
        if (fs::path(name).has_parent_path())
            throw FileError(fmt::format("{}: '{}' is not a file of this folder", index.string(), name));
    return names;
}

Files open_weights(const fs::path& folder) {
    Files files;
    if (fs::exists(folder / weights_file)) {
        files.push_back(std::make_unique<SafetensorsFile>(folder / weights_file));
    } else if (fs::exists(folder / index_file)) {
        for (const std::string& name : shards_of(folder / index_file))
            files.push_back(std::make_unique<SafetensorsFile>(folder / name));
    } else if (fs::exists(folder / pickled_file)) {
        throw FileError(
            fmt::format("{}: only {} is here, which is a Python pickle; convert it once in Python with "
                        "model.save_pretrained(folder, safe_serialization=True)",
                        folder.string(), pickled_file));
    } else {
        throw FileError(fmt::format("{}: neither {} nor {} is here", folder.string(), weights_file, index_file));
    }
    return files;
}

// ---- matching tensors and parameters ---------------------------------------------------------------------------------------------------

std::string shape_text(const StoredTensor& tensor) { return fmt::format("[{}]", fmt::join(tensor.shape, ", ")); }

bool same_shape(const StoredTensor& stored, const Shape& shape) {
    if (static_cast<int>(stored.shape.size()) != shape.rank()) return false;
    for (int axis = 0; axis < shape.rank(); ++axis)
        if (stored.shape[static_cast<std::size_t>(axis)] != shape[axis]) return false;
    return true;
}

// What does not fit, gathered so that one message tells it all.
struct Misfits {
    std::vector<std::string> missing, unexpected, other_shape;

    bool any() const { return !missing.empty() || !unexpected.empty() || !other_shape.empty(); }
    std::string to_string() const {
        std::string text;
        for (const auto& [what, list] : {std::pair("missing", &missing), std::pair("unexpected", &unexpected),
                                         std::pair("of another shape", &other_shape)}) {
            constexpr std::size_t most = 20;
            for (std::size_t n = 0; n < list->size() && n < most; ++n)
                text += fmt::format("\n  {}: {}", what, (*list)[n]);
            if (list->size() > most) text += fmt::format("\n  {}: {} more", what, list->size() - most);
        }
        return text;
    }
};

bool ends_with(std::string_view text, std::string_view end) {
    return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// The parameter that the output layer's own copy in a file stands for.
Parameter* tied_parameter(std::string_view copy, Parameters& parameters) {
    const std::string_view wanted = ends_with(copy, "bias") ? "predictions.bias" : "word_embeddings.weight";
    for (Parameter& parameter : parameters.all())
        if (ends_with(parameter.name, wanted)) return &parameter;
    return nullptr;
}

/// Whether the parameter is a learned table of positions with more rows than the stored one.
bool is_longer_table(const Parameter& parameter, const StoredTensor& stored) {
    const Shape& shape = parameter.value.shape;
    return parameter.name.find("position_embeddings.") != std::string::npos && shape.rank() == 2 &&
           stored.shape.size() == 2 && stored.shape[1] == shape[1] && stored.shape[0] < shape[0];
}

double hier_alpha_of(const ModelSettings& settings) {
    for (const PositionSettings& position : settings.position) {
        const auto option = position.options.find("hier_alpha");
        if (option != position.options.end()) return std::get<double>(option->second);
    }
    return 0;
}

class WeightLoader {
public:
    /// `lengthens`: a learned table of positions may be longer than the stored one.
    WeightLoader(const fs::path& folder, MaskedLanguageModel& model, bool lengthens = false)
        : folder_(folder),
          settings_(model.settings()),
          lengthens_(lengthens),
          parameters_(model.parameters()),
          files_(open_weights(folder)) {}

    /// Returns the names of the tensors that were left out.
    std::vector<std::string> load() {
        for (const auto& file : files_)
            for (const auto& [name, stored] : file->tensors()) place(name, stored);
        for (const auto& [name, stored] : copies_) place_copy(name, *stored);
        for (const Parameter& parameter : parameters_.all())
            if (loaded_.count(parameter.name) == 0 && refused_.count(parameter.name) == 0)
                misfits_.missing.push_back(parameter.name + " " + parameter.value.shape.to_string());
        if (misfits_.any())
            throw FileError(
                fmt::format("{}: the weights do not fit the model:{}", folder_.string(), misfits_.to_string()));
        return ignored_;
    }

    /// "position_embeddings.weight: rows 32 to 63 are new, by beyond: tile".
    const std::vector<std::string>& lengthened() const { return lengthened_; }

private:
    void place(const std::string& name, const StoredTensor& stored) {
        if (Parameter* parameter = parameters_.find(parameter_name(name, settings_)))
            return copy(name, stored, *parameter);
        switch (classify_foreign(name, settings_)) {
            case ForeignTensor::tied_copy: copies_.emplace_back(name, &stored); return;
            case ForeignTensor::ignored: ignored_.push_back(name); return;
            case ForeignTensor::unknown: misfits_.unexpected.push_back(name + " " + shape_text(stored)); return;
        }
    }

    void copy(const std::string& name, const StoredTensor& stored, Parameter& parameter) {
        if (!same_shape(stored, parameter.value.shape)) {
            if (lengthens_ && is_longer_table(parameter, stored)) return lengthen(name, stored, parameter);
            refused_.insert(parameter.name);
            misfits_.other_shape.push_back(
                fmt::format("{} is {}, should be {}", name, shape_text(stored), parameter.value.shape.to_string()));
            return;
        }
        if (!loaded_.insert(parameter.name).second)
            throw FileError(
                fmt::format("{}: '{}' is there twice, under two spellings", folder_.string(), parameter.name));
        try {
            copy_values(stored, name, parameter);
        } catch (const FileError& error) {
            throw FileError(fmt::format("{}: {}", folder_.string(), error.what()));
        }
    }

    void lengthen(const std::string& name, const StoredTensor& stored, Parameter& parameter) {
        const std::string beyond = beyond_of(settings_);
        const Shape shape = {stored.shape[0], stored.shape[1]};
        if (beyond == "error" || (beyond == "hier" && parameter.value.shape[0] > shape[0] * shape[0])) {
            refused_.insert(parameter.name);
            misfits_.other_shape.push_back(fmt::format(
                "{} is {}, should be {}; model.position.beyond says what the new rows start from, and {} cannot", name,
                shape_text(stored), parameter.value.shape.to_string(), beyond));
            return;
        }
        loaded_.insert(parameter.name);
        const Buffer buffer(static_cast<std::size_t>(shape.count() * size_of(parameter.value.dtype)));
        const Tensor values(buffer.data(), shape, parameter.value.dtype);
        copy_stored(stored, name, values);
        LearnedTable("init_from", shape, settings_.initializer_range, beyond, hier_alpha_of(settings_))
            .lengthen(values, parameter.value);
        lengthened_.push_back(fmt::format("{}: {} rows became {}, by beyond: {}", parameter.name, shape[0],
                                          parameter.value.shape[0], beyond));
    }

    static void copy_values(const StoredTensor& stored, const std::string& name, Parameter& parameter) {
        if (parameter.heads_interleaved == 0) return copy_stored(stored, name, parameter.value);
        const Buffer buffer(static_cast<std::size_t>(parameter.value.bytes()));
        const Tensor interleaved(buffer.data(), parameter.value.shape, parameter.value.dtype);
        copy_stored(stored, name, interleaved);
        stack_heads(interleaved, parameter.value, parameter.heads_interleaved);
    }

    // A file may have the tied tensor under both names, or only under the copy's; two different ones would be another model.
    void place_copy(const std::string& name, const StoredTensor& stored) {
        Parameter* parameter = tied_parameter(name, parameters_);
        if (parameter == nullptr) {
            misfits_.unexpected.push_back(name + " " + shape_text(stored));
            return;
        }
        if (loaded_.count(parameter->name) == 0) {
            if (refused_.count(parameter->name) == 0) copy(name, stored, *parameter);
            return;
        }
        const Tensor& value = parameter->value;
        if (!same_shape(stored, value.shape)) {
            misfits_.other_shape.push_back(
                fmt::format("{} is {}, should be {}", name, shape_text(stored), value.shape.to_string()));
            return;
        }
        const Buffer buffer(static_cast<std::size_t>(value.bytes()));
        const Tensor other(buffer.data(), value.shape, value.dtype);
        copy_stored(stored, name, other);
        if (std::memcmp(other.data, value.data, static_cast<std::size_t>(value.bytes())) != 0)
            throw FileError(
                fmt::format("{}: '{}' differs from '{}'; models with untied output embeddings are not supported",
                            folder_.string(), name, parameter->name));
    }

    const fs::path& folder_;
    const ModelSettings& settings_;
    bool lengthens_;
    Parameters& parameters_;
    Files files_;
    std::set<std::string> loaded_, refused_;
    std::vector<std::pair<std::string, const StoredTensor*>> copies_;
    std::vector<std::string> ignored_, lengthened_;
    Misfits misfits_;
};

ModelSettings read_settings(const fs::path& folder) {
    const fs::path path = folder / config_file;
    try {
        return settings_from_hugging_face(read_all(path));
    } catch (const ModelError& error) {
        throw FileError(fmt::format("{}: {}", path.string(), error.what()));
    }
}

std::unique_ptr<Tokenizer> read_tokenizer(const fs::path& folder, const ModelSettings& settings) {
    if (!fs::exists(folder / "tokenizer.json") && !fs::exists(folder / "vocab.txt")) return nullptr;
    std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(folder);
    if (tokenizer->vocab_size() != settings.vocab_size)
        throw FileError(fmt::format("{}: the tokenizer has {} tokens, the model {}: they do not belong together",
                                    folder.string(), tokenizer->vocab_size(), settings.vocab_size));
    return tokenizer;
}

}  // namespace

fs::path resolve_model_folder(const fs::path& model) {
    if (!fs::exists(model)) throw FileError(model.string() + ": there is no such folder");
    if (!fs::is_directory(model))
        throw FileError(fmt::format("{}: is a file; name the folder that holds {} and {}", model.string(), config_file,
                                    weights_file));
    if (is_model_folder(model)) return model;
    for (const char* link : {"best", "latest"})
        if (is_model_folder(model / link)) return fs::canonical(model / link);
    throw FileError(
        fmt::format("{}: no model here; looked for {} with {}, {} or {} (a model or checkpoint folder), and for "
                    "best and latest (a run folder)",
                    model.string(), config_file, weights_file, index_file, pickled_file));
}

LoadedModel load_model(const fs::path& model, Arithmetic arithmetic) {
    LoadedModel loaded;
    loaded.folder = resolve_model_folder(model);
    verify_checkpoint(loaded.folder, CheckpointPart::model);
    const ModelSettings settings = read_settings(loaded.folder);
    try {
        loaded.model = std::make_unique<MaskedLanguageModel>(settings, arithmetic);
    } catch (const ModelError& error) {
        throw FileError(fmt::format("{}: {}", (loaded.folder / config_file).string(), error.what()));
    }
    loaded.ignored = WeightLoader(loaded.folder, *loaded.model).load();
    loaded.tokenizer = read_tokenizer(loaded.folder, settings);
    return loaded;
}

void load_weights(const fs::path& model_folder, MaskedLanguageModel& model) {
    const fs::path folder = resolve_model_folder(model_folder);
    verify_checkpoint(folder, CheckpointPart::model);
    WeightLoader(folder, model).load();
}

std::vector<std::string> load_initial_weights(const fs::path& model_folder, MaskedLanguageModel& model) {
    const fs::path folder = resolve_model_folder(model_folder);
    verify_checkpoint(folder, CheckpointPart::model);
    WeightLoader loader(folder, model, true);
    std::vector<std::string> lines = {"weights: from " + folder.string()};
    for (const std::string& name : loader.load()) lines.push_back("weights: not used here: " + name);
    for (const std::string& line : loader.lengthened()) lines.push_back("weights: " + line);
    return lines;
}

void save_weights(const fs::path& folder, const MaskedLanguageModel& model) {
    std::vector<NamedTensor> tensors;
    std::vector<Buffer> reordered;
    for (const Parameter& parameter : model.parameters().all()) {
        Tensor value = parameter.value;
        if (parameter.heads_interleaved > 0) {
            reordered.emplace_back(static_cast<std::size_t>(value.bytes()));
            value = Tensor(reordered.back().data(), value.shape, value.dtype);
            interleave_heads(HostCopy(parameter.value).tensor(), value, parameter.heads_interleaved);
        }
        tensors.push_back({parameter.name, value});
    }
    // transformers refuses a file that does not say which framework its tensors are for.
    write_safetensors(folder / weights_file, tensors, {{"format", "pt"}});
    write_file(folder / config_file, hugging_face_config(model.settings()));
}

void save_model(const fs::path& folder, MaskedLanguageModel& model, const Tokenizer& tokenizer) {
    save_weights(folder, model);
    tokenizer.save(folder);
}

}  // namespace locus
