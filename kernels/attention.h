#pragma once
// One attention for every position encoding.
//
//   With query row i at position p_i, key row j at position p_j, distance r = p_i - p_j (query minus key), per head h:
//
//     score(i,j) = scale * ( (q_i + u) . k_j            content -> content
//                          + sum_n a_n,i . b_n,j        more channels        (what knows the absolute position: TUPE)
//                          + (q_i + v) . K[row_K(r)]    content -> position     (Shaw, relative_key, Transformer-XL, DeBERTa c2p)
//                          + k_j . Q[row_Q(r)] )        position -> content     (relative_key_query, DeBERTa p2c: the same row as above)
//                + sum_n bias_n[h, r]                   biases by distance      (T5, ALiBi, KERPLE, FIRE, p2p), not scaled
//                  all of it times f_s                  one factor per sequence (log n attention); 1 without it
//     P(i,j)     = softmax over the keys j of i's sequence (and |r| <= window, when there is a window)
//     out_i      = sum_j drop(P(i,j)) * ( value_j + V[row_V(r)] )
//
//   backward, with dP(i,j) = drop'( dout_i . (value_j + V[row_V(r)]) ),  D_i = sum_j P(i,j) dP(i,j),  dS = f_s P * (dP - D):
//     dq_i = scale sum_j dS(i,j) (k_j + K[row_K])       dk_j = scale sum_i dS(i,j) (q_i + u + Q[row_Q])
//     da_i += scale sum_j dS(i,j) b_j                   db_j += scale sum_i dS(i,j) a_i
//     dvalue_j = sum_i drop(P(i,j)) dout_i              du = scale sum dS k_j,   dv = scale sum dS K[row_K]
//     dK[row] += scale sum_{row_K = row} dS (q_i + v)   dQ[row] += scale sum_{row_Q = row} dS k_j
//     dV[row] += sum_{row_V = row} drop(P) dout_i       dbias_n[h, r] += sum dS
//
// Rows are ragged: there is no padding. Sequence s has the query rows q_rows.offsets[s] .. q_rows.offsets[s+1]-1 and likewise its key
// rows; each row has its true position. Queries may be fewer rows than keys (the mask decoder on masked rows), and positions need
// not be 0, 1, 2, ... A query whose sequence has no visible key yields 0 and a zero gradient.
//
// shapes   q, out, dq, dout: [q_rows, heads, head_dim]   k, value, dk, dvalue: [k_rows, heads, head_dim]; row stride free, the rest contiguous
//          table: [heads or 1, entries, head_dim]   bias: [heads, 2 reach + 1]   u, v: [heads, head_dim]
//          a_n: [q_rows, heads, channels]   b_n: [k_rows, heads, channels], as many as one likes; row stride free
// dtypes   processor: float32 or float64, all the same; GPU: float32, or q, k, value, out and their gradients bfloat16 and the rest float32
// saved    log_sum_exp [q_rows, heads] float64 for float64, float32 otherwise; out
// memory   O(rows): neither [S,S] nor [S,entries] is ever stored; a tile of queries x keys touches the band of distances it can see
// order    a (sequence, head) pair is one task; gradients of tables, biases, u and v are summed over a fixed number of groups of
//          sequences and added in group order: the same bits for any thread count
// cost     2 * 2 S^2 head_dim flop per head forward, 2.5 times that backward; each table adds as much again as its band is wide
// papers   Vaswani 2017; Shaw 2018; Dai 2019; Raffel 2020; He 2021 (DeBERTa); Dao 2022 (tiles and online softmax)

#include <array>

#include "kernels/dropout.h"
#include "kernels/memory.h"
#include "kernels/tensor.h"

namespace locus {

/// A table of vectors looked up by distance.
struct RelativeTable {
    Tensor rows;             // [heads or 1, entries, head_dim], the first two strides free; absent: no such term
    Tensor row_of_distance;  // int32 [2 reach + 1]: the row for distance r is at index clamp(r, -reach, reach) + reach

    explicit operator bool() const { return static_cast<bool>(rows); }
};

/// Which rows belong together, and where each stands.
struct AttentionRows {
    Tensor offsets;    // int32 [sequences + 1]
    Tensor positions;  // int32 [rows]
    // How many rows the longest sequence has, where that is known without reading offsets that may lie on a GPU; 0: not known, at most all.
    std::int64_t longest = 0;
};

constexpr int max_attention_biases = 4;
constexpr int max_attention_channels = 3;

/// Channels that q and k have beside the content's, and the value has not.
struct AttentionChannels {
    Tensor query, key;  // a [q_rows, heads, channels], b [k_rows, heads, channels]; absent: none

    explicit operator bool() const { return static_cast<bool>(query); }
};

/// The terms of the score that are not q, k and v.
struct AttentionTerms {
    double scale = 1.0;
    RelativeTable key_table;    // K
    RelativeTable query_table;  // Q
    RelativeTable value_table;  // V
    Tensor content_bias = {};   // u [heads, head_dim]
    Tensor position_bias = {};  // v [heads, head_dim]
    std::array<Tensor, max_attention_biases> biases =
        {};  // each [heads, 2 reach + 1], reach its own; those present come first
    std::array<AttentionChannels, max_attention_channels> channels = {};
    std::int64_t window = 0;     // 0: every key of the sequence
    Tensor sequence_scale = {};  // f, float64 [sequences], above 0; absent: 1
};

struct AttentionForward {
    Tensor q, k, value;
    AttentionRows q_rows, k_rows;
    AttentionTerms terms;
    Dropout dropout = {};           // on P; counter (key row in sequence / 8, q row, sequence * heads + head, step)
    DropoutRows dropout_rows = {};  // of the query rows
    Tensor out, log_sum_exp;        // out
    // Float32 only: the operands of products by bands and tiles are rounded to bfloat16 where there are tile registers (Isa::amx) or tensor cores
    // (attention_fused.h); softmax, sums and terms taken pair by pair are not. Elsewhere it changes nothing.
    bool bfloat16 = false;
    Arena* arena = nullptr;  // scratch
};
void attention_forward(const AttentionForward& args);

/// Gradients of the terms; each present one is added to, shaped like its term.
struct AttentionTermGradients {
    Tensor key_table, query_table, value_table, content_bias, position_bias;
    std::array<Tensor, max_attention_biases> biases = {};
    std::array<AttentionChannels, max_attention_channels> channels = {};
};

struct AttentionBackward {
    Tensor dout, q, k, value, out, log_sum_exp;
    AttentionRows q_rows, k_rows;
    AttentionTerms terms;
    Dropout dropout = {};
    DropoutRows dropout_rows = {};
    Tensor dq, dk, dvalue;    // out
    bool accumulate = false;  // add to dq, dk, dvalue instead of overwriting them
    AttentionTermGradients dterms = {};
    bool bfloat16 = false;   // as in the forward pass
    Arena* arena = nullptr;  // scratch
};
void attention_backward(const AttentionBackward& args);

/// The textbook: plain loops in float64 over the formula above, one query at a time. The oracle of the tests.
void attention_reference_forward(const AttentionForward& args);
void attention_reference_backward(const AttentionBackward& args);

}  // namespace locus
