#pragma once
// The differentiable operations. One per file of this folder, forward and gradient next to each other; the arithmetic is in kernels/.
// All inputs are variables: values of other operations, constants, or tape.parameter(...).

#include <array>
#include <initializer_list>

#include "kernels/attention.h"
#include "kernels/depthwise_convolution.h"
#include "kernels/dropout.h"
#include "kernels/flow.h"
#include "kernels/recurrent.h"
#include "model/autograd/tape.h"

namespace locus {

/// One table of an embedding sum.
struct EmbeddingTerm {
    Var table;            // [entries, H]
    Tensor ids;           // int32 [rows]
    Tensor weights = {};  // float64 [rows], 1 when absent
    int skip_entry = -1;  // this entry gets no gradient (padding_idx)
};

/// sum_n weights_n * table_n[ids_n] (+ onto): [rows, H], stored as `onto` is, or else as the tables.
Var embedding(Tape& tape, std::initializer_list<EmbeddingTerm> terms, Var onto = {});

/// x W^T + bias: [rows, in] -> [rows, out]; weight [out, in], bias [out] optional.
Var linear(Tape& tape, Var x, Var weight, Var bias = {});

/// gelu(x W^T + bias): [rows, in] -> [rows, out].
Var linear_gelu(Tape& tape, Var x, Var weight, Var bias);

/// layer_norm(drop(x) + residual): [rows, C]; residual optional.
Var layer_norm(Tape& tape, Var x, Var residual, Var gamma, Var beta, double epsilon, const Dropout& dropout = {},
               const DropoutRows& rows = {});

/// The same, but the sum that backward needs takes the place of x's value, which nobody may read again: x is a product for this norm alone. Saves
/// [rows, C].
Var layer_norm_in_place(Tape& tape, Var x, Var residual, Var gamma, Var beta, double epsilon,
                        const Dropout& dropout = {}, const DropoutRows& rows = {});

/// drop(x): [rows, C]. Returns x itself when the dropout is off.
Var dropout(Tape& tape, Var x, const Dropout& dropout, const DropoutRows& rows);

/// a + b: [rows, C].
Var add(Tape& tape, Var a, Var b);

/// Vectors one after the other: [sum of their lengths].
Var concatenate(Tape& tape, std::initializer_list<Var> parts);

/// Matrices side by side: [rows, A], [rows, B] -> [rows, A + B].
Var concatenate_columns(Tape& tape, Var a, Var b);

/// x stored as `dtype`: [rows, C]. From float32 to bfloat16 and back, on a GPU. Returns x itself when it is stored so already.
Var convert(Tape& tape, Var x, DType dtype);

/// A constant of zeros shaped like `like`.
Var zeros(Tape& tape, const Tensor& like);

/// tanh(x) or gelu(x) (the erf form), element by element: [rows, C].
Var tanh(Tape& tape, Var x);
Var gelu(Tape& tape, Var x);

/// The neighbourhood of each row: [rows, C] -> [rows, C * width] (kernels/unfold.h). With linear() it is a convolution over the sequence.
Var unfold(Tape& tape, Var x, std::int64_t width, const AttentionRows& rows);

/// A direction of a recurrent net: weight [gates H, H], bias [gates H]; start [H], the state before the first step, 0 when absent.
struct RecurrentDirection {
    Var weight, bias;
    bool reverse = false;  // from the last token of each sequence to the first
    Var start = {};
};

/// States of one or two recurrent nets along each sequence, side by side: [rows, directions * gates * H] -> [rows, directions * H]
/// (kernels/recurrent.h).
Var recurrent(Tape& tape, Var x, Cell cell, std::initializer_list<RecurrentDirection> directions,
              const AttentionRows& rows);

/// States of a minimal GRU along each sequence (kernels/min_gru.h): [rows, directions * 2 H] -> [rows, directions * H]. The second of two directions
/// reads from the last token to the first.
Var min_gru(Tape& tape, Var x, const AttentionRows& rows, std::int64_t directions);

/// What a linear recurrent unit does to its state at every step: [M] each, the directions' numbers one after the other.
struct LruFactors {
    Var nu, phi, log_c;
};

/// States of a linear recurrent unit along each sequence (kernels/lru.h): [rows, 2 M], for each direction its real and its imaginary parts.
Var lru(Tape& tape, Var u, const LruFactors& factors, const AttentionRows& rows, std::int64_t directions);

/// Every channel convolved along the sequence with its own taps: x [rows, C], weight [C, width], bias [C] optional
/// (kernels/depthwise_convolution.h).
Var depthwise_convolution(Tape& tape, Var x, Var weight, Var bias, const AttentionRows& rows, Edges edges);

/// The network of a flow (kernels/flow.h): weights [m, C] and [C, m], biases [m] and [C]; time_weight [m] optional.
struct FlowVariables {
    Var in_weight, time_weight, in_bias, out_weight, out_bias;
};

/// The first `points` points of a flow: start [C] -> [points, C].
Var flow(Tape& tape, Var start, const FlowVariables& network, const FlowSteps& steps, std::int64_t points);

/// By how much rotary_in_place() turns each pair of channels at each position.
struct RotaryAngles {
    Tensor positions;       // int32 [rows]
    Tensor cosines, sines;  // [longest, pairs]
    std::int64_t head_dim = 0;
    bool interleaved = false;
};

/// x with its first `columns` turned, heads of head_dim each: [rows, C] (kernels/rotary.h). It takes the place of x's value and gradient, so x is a
/// product for this alone.
Var rotary_in_place(Tape& tape, Var x, std::int64_t columns, const RotaryAngles& angles);

/// scale * a[a_rows[n]] . b[b_rows[n]] for each head: [heads, n] from a, b [entries, heads * head_dim] and row numbers int32 [n].
Var row_products(Tape& tape, Var a, Tensor a_rows, Var b, Tensor b_rows, std::int64_t heads, double scale);

/// A falling function of the distance, as a bias: [heads, 2 reach + 1]; a and p [1 or 2 sides, heads] (kernels/kerple.h).
Var kerple_bias(Tape& tape, Var a, Var p, bool power, std::int64_t reach);

/// A small network by distance: x [distances], w1 [hidden] or [hidden, 1], b1 [hidden], w2 [heads, hidden].
struct BiasNetworkInputs {
    Var x, w1, b1, w2;
};

/// w2 max(0, w1 x + b1), or ceiling / (1 + exp(-that)): [heads, distances] (kernels/bias_network.h).
Var bias_network(Tape& tape, const BiasNetworkInputs& in, double ceiling = 0);

/// What c and t of FIRE are multiples of, and whether its distances have a sign.
struct FireShape {
    double slope = 1, threshold = 1;
    bool is_signed = true;
};

/// FIRE's distances in a batch whose longest sequence has `longest` tokens: [2 longest - 1]; c and t [1] (kernels/fire.h).
Var fire_distances(Tape& tape, Var c, Var t, const FireShape& shape, std::int64_t longest);

/// x^T: [rows, C] -> [C, rows].
Var transpose(Tape& tape, Var x);

/// x[indices]: [selected, C]; indices int32, strictly increasing.
Var gather_rows(Tape& tape, Var x, Tensor indices);

/// The columns begin .. begin + heads * head_dim - 1 of a product, as one part of an attention's input.
struct HeadColumns {
    Var source;  // [rows, columns]
    std::int64_t begin = 0;

    /// These columns as heads: [rows, heads, head_dim].
    Tensor as_heads(std::int64_t heads, std::int64_t head_dim) const;
};

/// A table of vectors by distance, as a variable. `table` is [entries, head_dim] (shared by the heads) or
/// [entries, heads * head_dim].
struct RelativeTerm {
    Var table;
    Tensor row_of_distance;  // as in RelativeTable
};

/// AttentionChannels as variables: [rows of the queries, heads * channels] and [rows of the keys, heads * channels].
struct ChannelTerm {
    Var query, key;
};

/// AttentionTerms with variables.
struct AttentionScore {
    DType dtype = DType::float32;  // of all terms here
    double scale = 1.0;
    RelativeTerm key_table, query_table, value_table;
    Var content_bias, position_bias;                    // [heads, head_dim]
    std::array<Var, max_attention_biases> biases = {};  // [heads, 2 reach + 1]
    std::array<ChannelTerm, max_attention_channels> channels = {};
    std::int64_t window = 0;
    Tensor sequence_scale = {};  // float64 [sequences]; absent: 1

    /// One more bias by distance. Throws std::logic_error beyond max_attention_biases.
    void add_bias(Var bias);
    /// More channels of the queries and the keys. Throws std::logic_error beyond max_attention_channels.
    void add_channels(Var query, Var key);
};

/// The attention of kernels/attention.h: [q_rows, heads * head_dim]. `computed`, if any, becomes what the kernel was given and where its results are.
Var attention(Tape& tape, HeadColumns q, HeadColumns k, HeadColumns value, std::int64_t heads, std::int64_t head_dim,
              const AttentionRows& q_rows, const AttentionRows& k_rows, const AttentionScore& score,
              const Dropout& dropout = {}, const DropoutRows& dropout_rows = {}, AttentionForward* computed = nullptr);

/// What a masked-LM loss reports, where the tape's values lie, for as long as its node is on the tape.
struct MaskedLoss {
    Tensor loss;     // float64 [rows], nats
    Tensor correct;  // int32 [rows]
};

/// The same in the processor's memory. Waits for a GPU.
MaskedLoss on_host(Tape& tape, const MaskedLoss& there);

/// Softmax cross-entropy of x W^T + bias against `targets`; the logits exist only inside. The gradient is seeded with `scale` for each
/// row: after this, call tape.backward().
MaskedLoss masked_cross_entropy(Tape& tape, Var x, Var weight, Var bias, Tensor targets, double scale);

}  // namespace locus
