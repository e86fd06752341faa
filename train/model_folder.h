#pragma once
// A MODEL on the command line: a run folder (its best, else latest), a checkpoint folder, or a Hugging Face model folder.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/tokenizer.h"
#include "model/masked_language_model.h"

namespace locus {

struct LoadedModel {
    std::filesystem::path folder;  // the one that the weights came from
    std::unique_ptr<MaskedLanguageModel> model;
    std::unique_ptr<Tokenizer> tokenizer;  // nullptr when the folder has none
    std::vector<std::string> ignored;      // tensors of the file that a masked LM does not have (pooler, ...)
};

/// The folder with the weights that MODEL means. Throws FileError that says what was looked for.
std::filesystem::path resolve_model_folder(const std::filesystem::path& model);

/// Loads a model. Every parameter must be in the file, with its shape, and every tensor of the file accounted for: else FileError lists
/// what is missing, unexpected, or of another shape. A vocabulary that does not match the weights is a FileError.
LoadedModel load_model(const std::filesystem::path& model, Arithmetic arithmetic = DType::float32);

/// Copies the weights of MODEL into `model`. Tensors are matched by name; all must fit. Throws as load_model().
void load_weights(const std::filesystem::path& model_folder, MaskedLanguageModel& model);

/// The same for a model that starts from MODEL (train.init_from). Its learned table of positions may be longer than MODEL's: it then starts with
/// what MODEL would put in these places under the `beyond` of model.position. Returns what is to be told, a line each.
std::vector<std::string> load_initial_weights(const std::filesystem::path& model_folder, MaskedLanguageModel& model);

/// Writes model.safetensors and config.json into `folder`, which exists.
void save_weights(const std::filesystem::path& folder, const MaskedLanguageModel& model);

/// The same, and the tokenizer's files.
void save_model(const std::filesystem::path& folder, MaskedLanguageModel& model, const Tokenizer& tokenizer);

}  // namespace locus
