#pragma once
// What a caller of attention must keep to, checked once before any loop runs: nothing may throw inside a parallel region, and a wrong
// offset or row number must not read foreign memory. Shared by the textbook and the fused kernel; file-local in each (isa.h says why).
//
//   check_attention            shapes, dtypes, strides, devices: on every device
//   check_attention_numbers    offsets, table rows and factors, which only the processor reads

#include <cmath>
#include <cstdint>
#include <string>

#include "kernels/attention.h"
#include "kernels/call_context.h"

namespace locus {
namespace {

using std::int64_t;

inline bool stride_is(const Tensor& x, int axis, int64_t stride) {
    return x.shape[axis] <= 1 || x.strides[axis] == stride;
}

/// Whose arguments are checked: the name for messages, and where every tensor has to lie.
struct AttentionOp {
    const char* name;
    Device device;
};

inline void check_device(AttentionOp op, const char* name, const Tensor& x) {
    note_argument(name, x);
    LOCUS_CHECK(!x || x.device == op.device, op.name,
                std::string(name) + ": on " + name_of(x.device) + ", should be on " + name_of(op.device));
}

/// Rows of [heads, head_dim]: the row stride is free.
inline void check_rows_of_heads(AttentionOp op, const char* name, const Tensor& x, const Shape& shape, DType dtype) {
    LOCUS_CHECK(x.shape == shape && x.dtype == dtype, op.name,
                std::string(name) + " is " + name_of(x.dtype) + " " + x.shape.to_string() + ", expected " +
                    name_of(dtype) + " " + shape.to_string());
    check_device(op, name, x);
    LOCUS_CHECK(stride_is(x, 2, 1) && stride_is(x, 1, shape[2]), op.name,
                std::string(name) + " has the strides " + x.strides.to_string() + "; heads must be contiguous");
}

inline void check_contiguous(AttentionOp op, const char* name, const Tensor& x, const Shape& shape, DType dtype) {
    LOCUS_CHECK(x.shape == shape && x.dtype == dtype && x.is_contiguous(), op.name,
                std::string(name) + " is " + name_of(x.dtype) + " " + x.shape.to_string() + ", expected contiguous " +
                    name_of(dtype) + " " + shape.to_string());
    check_device(op, name, x);
}

inline void check_offsets(AttentionOp op, const char* name, const Tensor& offsets) {
    LOCUS_CHECK(offsets && offsets.dtype == DType::int32 && offsets.shape.rank() == 1 && offsets.is_contiguous(),
                op.name,
                std::string(name) + " are " + name_of(offsets.dtype) + " " + offsets.shape.to_string() +
                    ", expected int32 [sequences + 1]");
    check_device(op, name, offsets);
}

inline void check_offset_numbers(AttentionOp op, const char* name, const Tensor& offsets, int64_t rows) {
    const std::int32_t* at = offsets.as<std::int32_t>();
    const int64_t sequences = offsets.count() - 1;
    LOCUS_CHECK(at[0] == 0 && at[sequences] == rows, op.name,
                std::string(name) + " run from " + std::to_string(at[0]) + " to " + std::to_string(at[sequences]) +
                    ", expected 0 to " + std::to_string(rows));
    for (int64_t s = 0; s < sequences; ++s)
        LOCUS_CHECK(at[s] <= at[s + 1], op.name, std::string(name) + " fall at sequence " + std::to_string(s));
}

inline void check_table(AttentionOp op, const char* name, const RelativeTable& table, int64_t heads, int64_t head_dim,
                        DType dtype) {
    if (!table) return;
    const Shape& shape = table.rows.shape;
    LOCUS_CHECK(shape.rank() == 3 && (shape[0] == 1 || shape[0] == heads) && shape[1] >= 1 && shape[2] == head_dim &&
                    table.rows.dtype == dtype && stride_is(table.rows, 2, 1),
                op.name,
                std::string(name) + " is " + name_of(table.rows.dtype) + " " + shape.to_string() + ", expected " +
                    name_of(dtype) + " [1 or " + std::to_string(heads) + ", entries, " + std::to_string(head_dim) +
                    "] with contiguous vectors");
    const Tensor& map = table.row_of_distance;
    LOCUS_CHECK(
        map && map.dtype == DType::int32 && map.shape.rank() == 1 && map.shape[0] % 2 == 1 && map.is_contiguous(),
        op.name, std::string(name) + ": row_of_distance must be int32 [2 reach + 1], is " + map.shape.to_string());
    check_device(op, name, table.rows);
    check_device(op, name, map);
}

inline void check_table_numbers(AttentionOp op, const char* name, const RelativeTable& table) {
    if (!table) return;
    const Tensor& map = table.row_of_distance;
    const int64_t entries = table.rows.shape[1];
    for (int64_t r = 0; r < map.shape[0]; ++r) {
        const std::int32_t row = map.as<std::int32_t>()[r];
        LOCUS_CHECK(row >= 0 && row < entries, op.name,
                    std::string(name) + ": distance " + std::to_string(r - map.shape[0] / 2) + " maps to row " +
                        std::to_string(row) + " of " + std::to_string(entries));
    }
}

/// True when the score, the value or the visible keys depend on the distance.
inline bool uses_positions(const AttentionTerms& terms) {
    return terms.key_table || terms.query_table || terms.value_table || terms.biases[0] || terms.window > 0;
}

inline void check_terms(AttentionOp op, const AttentionTerms& terms, int64_t heads, int64_t head_dim, DType dtype) {
    check_table(op, "key_table", terms.key_table, heads, head_dim, dtype);
    check_table(op, "query_table", terms.query_table, heads, head_dim, dtype);
    check_table(op, "value_table", terms.value_table, heads, head_dim, dtype);
    if (terms.content_bias) check_contiguous(op, "content_bias", terms.content_bias, {heads, head_dim}, dtype);
    if (terms.position_bias) check_contiguous(op, "position_bias", terms.position_bias, {heads, head_dim}, dtype);
    bool ended = false;
    for (const Tensor& bias : terms.biases) {
        LOCUS_CHECK(!(bias && ended), op.name, "a bias follows an absent one");
        ended = !bias;
        if (!bias) continue;
        LOCUS_CHECK(bias.shape.rank() == 2 && bias.shape[1] % 2 == 1, op.name,
                    "bias is " + bias.shape.to_string() + ", expected [heads, 2 reach + 1]");
        check_contiguous(op, "bias", bias, {heads, bias.shape[1]}, dtype);
    }
    LOCUS_CHECK(std::isfinite(terms.scale) && terms.window >= 0, op.name,
                "scale must be finite and the window not negative");
}

inline void check_channels(AttentionOp op, const AttentionTerms& terms, int64_t q_rows, int64_t k_rows, int64_t heads,
                           DType dtype) {
    for (const AttentionChannels& part : terms.channels) {
        LOCUS_CHECK(static_cast<bool>(part.query) == static_cast<bool>(part.key), op.name,
                    "channels need a query and a key side");
        if (!part) continue;
        LOCUS_CHECK(
            part.query.shape.rank() == 3 && part.query.shape[2] >= 1, op.name,
            "channels of the queries are " + part.query.shape.to_string() + ", expected [rows, heads, channels]");
        const int64_t count = part.query.shape[2];
        check_rows_of_heads(op, "channels of the queries", part.query, {q_rows, heads, count}, dtype);
        check_rows_of_heads(op, "channels of the keys", part.key, {k_rows, heads, count}, dtype);
    }
}

inline void check_sequence_scale(AttentionOp op, const Tensor& scale, int64_t sequences) {
    if (!scale) return;
    check_contiguous(op, "sequence_scale", scale, {sequences}, DType::float64);
}

inline void check_sequence_scale_numbers(AttentionOp op, const Tensor& scale) {
    if (!scale) return;
    for (int64_t s = 0; s < scale.count(); ++s)
        LOCUS_CHECK(scale.as<double>()[s] > 0 && std::isfinite(scale.as<double>()[s]), op.name,
                    "sequence_scale of sequence " + std::to_string(s) + " must be above 0 and finite");
}

inline void check_gradient(AttentionOp op, const char* name, const Tensor& gradient, const Tensor& term,
                           int last_axis) {
    if (!gradient) return;
    LOCUS_CHECK(
        term && gradient.shape == term.shape && gradient.dtype == term.dtype && stride_is(gradient, last_axis, 1),
        op.name,
        std::string("the gradient of ") + name + " is " + gradient.shape.to_string() + ", the term " +
            (term ? term.shape.to_string() : "is absent"));
    check_device(op, name, gradient);
}

/// What forward and backward have in common.
template <class Args>
void check_inputs(AttentionOp op, const Args& args) {
    LOCUS_CHECK(
        args.q.shape.rank() == 3 && args.k.shape.rank() == 3, op.name,
        "q is " + args.q.shape.to_string() + ", k " + args.k.shape.to_string() + ", expected [rows, heads, head_dim]");
    const DType dtype = args.q.dtype;
    const DType other = op.device == Device::cpu ? DType::float64 : DType::bfloat16;
    LOCUS_CHECK(dtype == DType::float32 || dtype == other, op.name,
                std::string("q is ") + name_of(dtype) + "; on " + name_of(op.device) + " float32 and " +
                    name_of(other) + " are possible");
    const DType of_terms = dtype == DType::bfloat16 ? DType::float32 : dtype;
    const int64_t q_rows = args.q.shape[0], k_rows = args.k.shape[0], heads = args.q.shape[1],
                  head_dim = args.q.shape[2];
    LOCUS_CHECK(heads >= 1 && head_dim >= 1, op.name, "q is " + args.q.shape.to_string());
    check_rows_of_heads(op, "q", args.q, {q_rows, heads, head_dim}, dtype);
    check_rows_of_heads(op, "k", args.k, {k_rows, heads, head_dim}, dtype);
    check_rows_of_heads(op, "value", args.value, {k_rows, heads, head_dim}, dtype);
    check_rows_of_heads(op, "out", args.out, {q_rows, heads, head_dim}, dtype);
    check_contiguous(op, "log_sum_exp", args.log_sum_exp, {q_rows, heads}, of_terms);
    check_offsets(op, "query offsets", args.q_rows.offsets);
    check_offsets(op, "key offsets", args.k_rows.offsets);
    LOCUS_CHECK(args.q_rows.offsets.count() == args.k_rows.offsets.count(), op.name,
                "queries have " + std::to_string(args.q_rows.offsets.count() - 1) + " sequences, keys " +
                    std::to_string(args.k_rows.offsets.count() - 1));
    check_terms(op, args.terms, heads, head_dim, of_terms);
    check_channels(op, args.terms, q_rows, k_rows, heads, of_terms);
    check_sequence_scale(op, args.terms.sequence_scale, args.q_rows.offsets.count() - 1);
    if (uses_positions(args.terms)) {
        check_contiguous(op, "query positions", args.q_rows.positions, {q_rows}, DType::int32);
        check_contiguous(op, "key positions", args.k_rows.positions, {k_rows}, DType::int32);
    }
    if (args.dropout) {
        LOCUS_CHECK(std::lround(args.dropout.probability * 65536.0F) < 65536, op.name,
                    "dropout of " + std::to_string(args.dropout.probability) + " leaves nothing");
        check_contiguous(op, "dropout_rows.sequence", args.dropout_rows.sequence, {q_rows}, DType::int32);
        check_contiguous(op, "dropout_rows.position", args.dropout_rows.position, {q_rows}, DType::int32);
    }
}

/// What the processor reads before it starts. Throws for tensors of a GPU.
template <class Args>
void check_attention_numbers(const char* name, const Args& args) {
    const AttentionOp op = {name, Device::cpu};
    check_device(op, "q", args.q);
    check_offset_numbers(op, "query offsets", args.q_rows.offsets, args.q.shape[0]);
    check_offset_numbers(op, "key offsets", args.k_rows.offsets, args.k.shape[0]);
    check_table_numbers(op, "key_table", args.terms.key_table);
    check_table_numbers(op, "query_table", args.terms.query_table);
    check_table_numbers(op, "value_table", args.terms.value_table);
    check_sequence_scale_numbers(op, args.terms.sequence_scale);
}

inline void check_attention(const char* name, const AttentionForward& args) {
    check_inputs({name, args.q.device}, args);
}

inline void check_attention(const char* name, const AttentionBackward& args) {
    const AttentionOp op = {name, args.q.device};
    check_inputs(op, args);
    check_rows_of_heads(op, "dout", args.dout, args.q.shape, args.q.dtype);
    check_rows_of_heads(op, "dq", args.dq, args.q.shape, args.q.dtype);
    check_rows_of_heads(op, "dk", args.dk, args.k.shape, args.q.dtype);
    check_rows_of_heads(op, "dvalue", args.dvalue, args.k.shape, args.q.dtype);
    const AttentionTerms& terms = args.terms;
    check_gradient(op, "key_table", args.dterms.key_table, terms.key_table.rows, 2);
    check_gradient(op, "query_table", args.dterms.query_table, terms.query_table.rows, 2);
    check_gradient(op, "value_table", args.dterms.value_table, terms.value_table.rows, 2);
    check_gradient(op, "content_bias", args.dterms.content_bias, terms.content_bias, 1);
    check_gradient(op, "position_bias", args.dterms.position_bias, terms.position_bias, 1);
    for (std::size_t n = 0; n < max_attention_biases; ++n)
        check_gradient(op, "bias", args.dterms.biases[n], terms.biases[n], 1);
    for (std::size_t n = 0; n < max_attention_channels; ++n) {
        check_gradient(op, "the queries' channels", args.dterms.channels[n].query, terms.channels[n].query, 2);
        check_gradient(op, "the keys' channels", args.dterms.channels[n].key, terms.channels[n].key, 2);
    }
}

}  // namespace
}  // namespace locus
