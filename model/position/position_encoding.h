#pragma once
// The contract of a position encoding.
//
// An encoding acts at up to four places, each a hook with an empty default:
//
//     embed    add to, or run over, the input embeddings         x [rows, embedding_size] -> the same
//     rotate   turn queries and keys                              x [rows, C] -> [rows, C], its first columns turned
//     relate   tables, buckets and biases inside the score        terms of AttentionScore (kernels/attention.h has the equation)
//     decode   add to what the mask decoder starts from           x [rows, hidden] -> the same
//
// and promises the longest sequence it takes, whether it is symmetric, and which rows of its tables training would not reach. A model holds a list
// of encodings: embedding terms add, rotations apply one after the other, score terms add. Before all of them, renumber() may give the tokens
// other positions.
//
// To add one: a file in this folder that defines an EncodingEntry, a line in registry.cpp, a YAML in configs/position/, a row in
// tests/model/position/encodings_test.cpp, and the formula in scripts/locus_encodings.py. docs/learn/add-a-position-encoding.md walks through one.

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/autograd/operations.h"
#include "model/autograd/parameter.h"
#include "model/model_input.h"
#include "model/settings.h"

namespace locus {

/// The layer that relate() is called for.
struct LayerContext {
    std::int64_t number = 0;
    // Its projections of the content, for encodings that project positions by them: weights [hidden, hidden], biases [hidden].
    const Parameter *query_weight = nullptr, *query_bias = nullptr, *key_weight = nullptr, *key_bias = nullptr;
    Dropout table_dropout = {};  // for tables of position vectors: the hidden dropout, with a mask of this layer's own
    AttentionRows queries = {};  // the rows that ask; all rows of the batch, or in a mask decoder some of them
};

class PositionEncoding {
public:
    PositionEncoding() = default;
    PositionEncoding(const PositionEncoding&) = delete;
    PositionEncoding& operator=(const PositionEncoding&) = delete;
    virtual ~PositionEncoding() = default;

    /// Where an encoding's parameters stand among the model's: with the embeddings; with the encoder, for what its layers share; with each
    /// layer's attention. Called in this order, the last once per layer. `prefix` begins the tensor names: "bert.embeddings.",
    /// "bert.encoder.", "bert.encoder.layer.3.attention.self.".
    virtual void declare_embedding_parameters(Parameters& parameters, const std::string& prefix);
    virtual void declare_encoder_parameters(Parameters& parameters, const std::string& prefix);
    virtual void declare_layer_parameters(Parameters& parameters, const std::string& prefix);

    /// The batch with the positions that all hooks and all attentions of this step are to see.
    virtual ModelInput renumber(Tape& tape, const ModelInput& input, const RunMode& mode) const;
    virtual Var embed(Tape& tape, Var x, const ModelInput& input) const;
    /// `columns`: how many of x's first columns are heads of queries or keys; `positions` of its rows, int32 [rows]. x is for this alone: its memory may
    /// be used for what is returned.
    virtual Var rotate(Tape& tape, Var x, std::int64_t columns, Tensor positions, const ModelInput& input) const;
    virtual void relate(Tape& tape, const LayerContext& layer, const ModelInput& input, AttentionScore& score) const;
    /// `positions` of x's rows, int32 [rows].
    virtual Var decode(Tape& tape, Var x, Tensor positions, const ModelInput& input) const;

    /// Sequences may not be longer than this, nor positions reach it; 0: any length.
    virtual std::int64_t longest_sequence() const { return 0; }
    /// Whether left and right look the same to it: then the mirror image of a text has the mirror image of its outputs.
    virtual bool is_symmetric() const { return false; }
    /// renumber() draws from at least so many positions; 0: it draws none.
    virtual std::int64_t drawn_positions() const { return 0; }

    /// Rows of its tables that sequences of `length` tokens never reach, so that training on them leaves these rows as they began: "rows 0 to 384
    /// and 640 to 1023 of rel_embeddings". Empty: none.
    virtual std::string untrained_rows(std::int64_t length) const;
};

/// An option of an encoding, as its file declares it: the YAML key, what it may be, and what it means.
struct EncodingOption {
    std::string_view name;
    OptionValue initial;                    // its type is the option's type
    std::vector<std::string_view> choices;  // of a text option; empty: any
    std::string_view help;
};

/// What a model has one of: terms of the score (kernels/attention.h; biases by distance add up instead), its scale, and the positions that
/// renumber() gives out.
enum class ScoreTerm : std::uint8_t {
    key_table,
    query_table,
    value_table,
    content_bias,
    position_bias,
    position_product,
    scale,
    positions
};

struct EncodingEntry {
    std::string_view name;     // in YAML
    std::string_view summary;  // one line
    std::vector<EncodingOption> options;
    std::vector<ScoreTerm> terms = {};  // that it sets or changes; no two encodings of a model may set the same one
    /// Initial values that depend on the rest of the model and on options that were given; absent: none do.
    std::map<std::string, OptionValue> (*defaults)(const ModelSettings& model, const PositionSettings& given) = nullptr;
    /// Throws ModelError naming the option when a value is out of range.
    std::unique_ptr<PositionEncoding> (*make)(const ModelSettings& model, const PositionSettings& position);
};

using PositionEncodings = std::vector<std::unique_ptr<PositionEncoding>>;

/// The encodings of a model, one per entry of settings.position. Throws ModelError for an unknown name or option, and for two encodings that
/// cannot be in one model.
PositionEncodings make_encodings(const ModelSettings& settings);

/// The enhanced mask decoder needs absolute positions: adds the learned table, at the output only, to a list that has none.
void complete_positions(ModelSettings& settings);

/// The encodings of a model in one word, as in tables: "disentangled", "rope+alibi"; with the enhanced mask decoder "disentangled+absolute+enhanced".
std::string encoding_names(const ModelSettings& settings);

/// "rows 0 to 2 and 7 of NAME" for the rows that are not reached; empty when all are.
std::string describe_unreached(const std::vector<bool>& reached, const std::string& name);

/// All encodings, in the order of the documentation.
const std::vector<EncodingEntry>& encoding_registry();
/// nullptr when there is none of that name.
const EncodingEntry* find_encoding(std::string_view name);
/// The encoding with all its options at their initial values. Throws ModelError naming the known encodings.
PositionSettings default_position(std::string_view encoding);

}  // namespace locus
