#pragma once
// Models as Hugging Face folders have them: config.json and tensor names.
//
// Checkpoints that every release of `transformers` represents exactly (BERT with the learned absolute table) carry its model_type "bert"; all
// others carry "locus", so that AutoModel refuses them instead of loading them wrongly. Our own keys stand under "locus".

#include <string>
#include <string_view>
#include <vector>

#include "model/autograd/parameter.h"
#include "model/settings.h"

namespace locus {

/// config.json of a model; ends in a newline.
std::string hugging_face_config(const ModelSettings& settings);

/// The settings that a config.json describes. Throws ModelError naming the key when it describes a model that we do not have.
ModelSettings settings_from_hugging_face(std::string_view config_json);

/// What to do with a tensor of a file whose name is not a parameter's.
enum class ForeignTensor { unknown, tied_copy, ignored };

/// The parameter name that `name` in a file of `transformers` stands for ("LayerNorm.gamma" -> "LayerNorm.weight", a missing "bert."
/// prefix is added), or the name itself.
std::string parameter_name(std::string_view name, const ModelSettings& settings);
/// Tied copies (cls.predictions.decoder.*), buffers (position_ids) and heads that a masked LM does not have (pooler, seq_relationship).
ForeignTensor classify_foreign(std::string_view name, const ModelSettings& settings);

}  // namespace locus
