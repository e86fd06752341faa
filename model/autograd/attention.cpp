// The attention of kernels/attention.h on columns of products.
#include "kernels/attention.h"

#include <algorithm>
#include <cstring>

#include "kernels/add.h"
#include "model/autograd/operation_cost.h"
#include "model/autograd/operations.h"

namespace locus {
namespace {

struct Heads {
    std::int64_t count, dim;
};

// Columns begin .. begin + heads * dim of a [rows, columns] matrix as [rows, heads, dim].
Tensor head_view(const Tensor& source, std::int64_t begin, Heads heads) {
    Tensor view = source.slice(1, begin, begin + heads.count * heads.dim);
    view.shape = {source.shape[0], heads.count, heads.dim};
    view.strides = {source.strides[0], heads.dim, 1};
    return view;
}

// [rows, heads * channels] as [rows, heads, channels].
Tensor rows_of_heads(const Tensor& x, Heads heads) {
    return x ? x.reshape({x.shape[0], heads.count, x.shape[1] / heads.count}) : x;
}

// A table [entries, dim] or [entries, heads * dim] as [1 or heads, entries, dim].
Tensor table_view(const Tensor& table, Heads heads) {
    const std::int64_t entries = table.shape[0], columns = table.shape[1];
    LOCUS_CHECK(columns == heads.dim || columns == heads.dim * heads.count, "attention",
                "table " + table.shape.to_string() + " fits neither one head nor all");
    Tensor view = table;
    view.shape = {columns / heads.dim, entries, heads.dim};
    view.strides = {heads.dim, table.strides[0], 1};
    return view;
}

RelativeTable relative_table(Tape& tape, const RelativeTerm& term, Heads heads) {
    if (!term.table) return {};
    return {table_view(term.table.value(), heads), tape.resident(term.row_of_distance)};
}

AttentionTerms terms_of(Tape& tape, const AttentionScore& score, Heads heads) {
    AttentionTerms terms;
    terms.scale = score.scale;
    terms.key_table = relative_table(tape, score.key_table, heads);
    terms.query_table = relative_table(tape, score.query_table, heads);
    terms.value_table = relative_table(tape, score.value_table, heads);
    if (score.content_bias) terms.content_bias = score.content_bias.value();
    if (score.position_bias) terms.position_bias = score.position_bias.value();
    for (std::size_t n = 0; n < terms.biases.size(); ++n) {
        if (score.biases[n]) terms.biases[n] = score.biases[n].value();
    }
    for (std::size_t n = 0; n < terms.channels.size(); ++n) {
        const ChannelTerm& part = score.channels[n];
        if (part.query)
            terms.channels[n] = {rows_of_heads(part.query.value(), heads), rows_of_heads(part.key.value(), heads)};
    }
    terms.window = score.window;
    terms.sequence_scale = tape.resident(score.sequence_scale);
    return terms;
}

// Pairs of a query and a key that it sees. At the ends of a sequence a window sees less; that is not taken off.
std::int64_t pairs_of(const AttentionRows& q_rows, const AttentionRows& k_rows, std::int64_t window) {
    const auto *const q = q_rows.offsets.as<std::int32_t>(), *const k = k_rows.offsets.as<std::int32_t>();
    std::int64_t pairs = 0;
    for (std::int64_t s = 0; s + 1 < q_rows.offsets.count(); ++s) {
        const std::int64_t keys = k[s + 1] - k[s], around = 2 * window + 1;
        pairs += (q[s + 1] - q[s]) * (window > 0 ? std::min(keys, around) : keys);
    }
    return pairs;
}

// Two products of head_dim channels for each pair, and two more for each table: the band of distances that a tile of pairs sees is about twice as wide as
// the tile. Twice that on the way back, where a product has two factors; that the kernel computes the scores again is not counted.
OperationCost attention_cost(const AttentionForward& args, std::int64_t pairs) {
    const AttentionTerms& terms = args.terms;
    std::int64_t channels = 2 * args.q.shape[2];
    Cost of_terms;
    for (const RelativeTable* table : {&terms.key_table, &terms.query_table, &terms.value_table}) {
        if (*table) channels += 2 * args.q.shape[2];
        of_terms = of_terms + moves(table->rows);
    }
    for (const AttentionChannels& more : terms.channels) {
        if (more) channels += more.query.shape[2];
        of_terms = of_terms + moves(more.query, more.key);
    }
    for (const Tensor& bias : terms.biases) of_terms = of_terms + moves(bias);
    const Cost products = multiply_adds(pairs * args.q.shape[1] * channels);
    return {.forward = products + of_terms + moves(args.q, args.k, args.value, args.out, args.log_sum_exp),
            .backward = 2 * products + 3 * of_terms + moves(args.out, args.out, args.log_sum_exp) +
                        2 * moves(args.q, args.k, args.value)};
}

Tensor gradient_or_nothing(Tape& tape, Var variable) {
    return variable && tape.needs_gradient(variable) ? tape.gradient_sum(variable) : Tensor();
}

Tensor table_gradient(Tape& tape, const RelativeTerm& term, Heads heads) {
    const Tensor gradient = gradient_or_nothing(tape, term.table);
    return gradient ? table_view(gradient, heads) : Tensor();
}

AttentionTermGradients term_gradients(Tape& tape, const AttentionScore& score, Heads heads) {
    AttentionTermGradients gradients;
    gradients.key_table = table_gradient(tape, score.key_table, heads);
    gradients.query_table = table_gradient(tape, score.query_table, heads);
    gradients.value_table = table_gradient(tape, score.value_table, heads);
    gradients.content_bias = gradient_or_nothing(tape, score.content_bias);
    gradients.position_bias = gradient_or_nothing(tape, score.position_bias);
    for (std::size_t n = 0; n < score.biases.size(); ++n) {
        gradients.biases[n] = gradient_or_nothing(tape, score.biases[n]);
    }
    for (std::size_t n = 0; n < score.channels.size(); ++n) {
        gradients.channels[n] = {rows_of_heads(gradient_or_nothing(tape, score.channels[n].query), heads),
                                 rows_of_heads(gradient_or_nothing(tape, score.channels[n].key), heads)};
    }
    return gradients;
}

// True when the three inputs are the three thirds of one product: then the kernel overwrites its gradient as a whole.
bool cover_one_source(const HeadColumns& q, const HeadColumns& k, const HeadColumns& value, Heads heads) {
    const std::int64_t width = heads.count * heads.dim;
    const void* const source = q.source.value().data;
    return k.source.value().data == source && value.source.value().data == source && q.begin == 0 && k.begin == width &&
           value.begin == 2 * width && q.source.shape()[1] == 3 * width;
}

}  // namespace

Tensor HeadColumns::as_heads(std::int64_t heads, std::int64_t head_dim) const {
    return head_view(source.value(), begin, {heads, head_dim});
}

void AttentionScore::add_bias(Var bias) {
    for (Var& place : biases) {
        if (place) continue;
        place = bias;
        return;
    }
    throw_contract("attention", "there are already " + std::to_string(biases.size()) + " biases by distance");
}

void AttentionScore::add_channels(Var query, Var key) {
    for (ChannelTerm& place : channels) {
        if (place.query) continue;
        place = {query, key};
        return;
    }
    throw_contract("attention", "there are already " + std::to_string(channels.size()) + " lists of further channels");
}

Var attention(Tape& tape, HeadColumns q, HeadColumns k, HeadColumns value, std::int64_t heads, std::int64_t head_dim,
              const AttentionRows& q_rows, const AttentionRows& k_rows, const AttentionScore& score,
              const Dropout& dropout, const DropoutRows& dropout_rows, AttentionForward* computed) {
    const Heads shape = {heads, head_dim};
    const std::int64_t rows = q.source.shape()[0];
    const DType dtype = q.source.value().dtype;
    const Tensor out = tape.allocate({rows, heads * head_dim}, dtype);
    const Tensor log_sum_exp = tape.allocate({rows, heads}, arithmetic_of(dtype));
    AttentionForward forward = {.q = q.as_heads(heads, head_dim),
                                .k = k.as_heads(heads, head_dim),
                                .value = value.as_heads(heads, head_dim),
                                .q_rows = tape.resident(q_rows),
                                .k_rows = tape.resident(k_rows),
                                .terms = terms_of(tape, score, shape),
                                .dropout = dropout,
                                .dropout_rows = tape.resident(dropout_rows),
                                .out = out.reshape({rows, heads, head_dim}),
                                .log_sum_exp = log_sum_exp,
                                .bfloat16 = tape.bfloat16_products(),
                                .arena = &tape.arena()};
    attention_forward(forward);
    if (computed != nullptr) *computed = forward;
    const Var y = tape.variable(out);
    tape.record(attention_cost(forward, pairs_of(q_rows, k_rows, score.window)), [&tape, q, k, value, shape, score,
                                                                                  forward, y] {
        const Tensor dy = tape.gradient_of(y);
        if (!dy) return;
        const bool overwrite = cover_one_source(q, k, value, shape) && !tape.gradient_target(q.source).accumulate;
        const auto target = [&](const HeadColumns& part) {
            const Tensor whole = overwrite ? tape.gradient_target(part.source).tensor : tape.gradient_sum(part.source);
            return head_view(whole, part.begin, shape);
        };
        attention_backward({.dout = dy.reshape(forward.out.shape),
                            .q = forward.q,
                            .k = forward.k,
                            .value = forward.value,
                            .out = forward.out,
                            .log_sum_exp = forward.log_sum_exp,
                            .q_rows = forward.q_rows,
                            .k_rows = forward.k_rows,
                            .terms = forward.terms,
                            .dropout = forward.dropout,
                            .dropout_rows = forward.dropout_rows,
                            .dq = target(q),
                            .dk = target(k),
                            .dvalue = target(value),
                            .accumulate = !overwrite,
                            .dterms = term_gradients(tape, score, shape),
                            .bfloat16 = forward.bfloat16,
                            .arena = &tape.arena()});
    });
    return y;
}

}  // namespace locus
