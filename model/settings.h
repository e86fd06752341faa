#pragma once
// What a model is, as plain data: read from YAML by train/, from config.json by hugging_face.h.

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace locus {

/// The value of an encoding's option.
using OptionValue = std::variant<bool, std::int64_t, double, std::string>;

/// One position encoding of a model: its name and the options that its file declares, all of them present.
struct PositionSettings {
    std::string encoding = "absolute";
    std::map<std::string, OptionValue> options;
};

/// A convolution over the embeddings, added to the first block's output (DeBERTa v2).
struct ConvolutionSettings {
    std::int64_t kernel = 0;  // taps, odd; 0: no convolution
    std::string activation = "tanh";
};

/// Corrections of attention for long sequences, with any encoding.
struct AttentionSettings {
    std::int64_t window = 0;  // a token sees those at most this far away, by position; 0: all
    bool logn = false;        // scores times log n / log train_length (transformer_block.h)
};

struct ModelSettings {
    std::string architecture = "bert";
    std::int64_t layers = 4;
    std::int64_t hidden = 256;
    std::int64_t heads = 4;
    std::int64_t feed_forward = 1024;
    std::int64_t embedding_size = 0;  // columns of the embedding tables; 0: hidden
    double hidden_dropout = 0.1;
    double attention_dropout = 0.1;
    std::int64_t max_length = 512;  // rows of a table that ends (absolute, relative_key)
    std::int64_t token_types = 2;
    double layer_norm_epsilon = 1e-12;
    double initializer_range = 0.02;
    std::vector<PositionSettings> position = {{}};
    std::string mask_decoder = "plain";
    std::int64_t decoder_passes = 2;  // of the last block, in the enhanced decoder
    ConvolutionSettings convolution = {};
    AttentionSettings attention = {};
    // In training, blocks run again in the backward pass (autograd/recompute.h). A matter of the run, not of the model: not in config.json.
    bool recompute = false;
    std::int64_t vocab_size = 0;  // from the tokenizer
    std::int64_t pad_id = 0;
    std::int64_t train_length = 0;  // data.sequence_length of the training; 0: not known

    std::int64_t embedding_columns() const { return embedding_size == 0 ? hidden : embedding_size; }
    bool has_enhanced_decoder() const { return mask_decoder == "enhanced"; }
};

}  // namespace locus
