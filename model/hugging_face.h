#pragma once
// Models as Hugging Face folders have them: config.json and tensor names.
//
// Checkpoints that `transformers` computes exactly carry its model_type: "bert" with the learned absolute table (every release has it), "deberta"
// and "deberta-v2" with a plain mask decoder. All others carry "locus", so that AutoModel refuses them instead of loading them wrongly;
// scripts/locus_model.py runs them in PyTorch. Our own keys stand under "locus".

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

/// The parameter name that `name` in a file of `transformers` or of DeBERTa's authors stands for ("LayerNorm.gamma" -> "LayerNorm.weight",
/// "lm_predictions.lm_head.bias" -> "cls.predictions.bias", a missing "bert." or "deberta." prefix is added), or the name itself.
std::string parameter_name(std::string_view name, const ModelSettings& settings);
/// Tied copies (cls.predictions.decoder.*), buffers (position_ids), heads that a masked LM does not have (pooler, seq_relationship,
/// mask_predictions), and position tables that the model does not read.
ForeignTensor classify_foreign(std::string_view name, const ModelSettings& settings);

/// Copies a parameter's rows into the order of files, or back (Parameter::heads_interleaved): row (part, head, d) of [3, heads, head_dim] is row
/// (head, part, d) of [heads, 3, head_dim]. `from` and `to` are [3 hidden, hidden] and do not overlap.
void interleave_heads(const Tensor& from, const Tensor& to, std::int64_t heads);
void stack_heads(const Tensor& from, const Tensor& to, std::int64_t heads);

}  // namespace locus
