#include "kernels/score_decomposition.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/attention_check.h"

namespace locus {
namespace {

using Vector = std::vector<double>;

/// n numbers of a tensor, from the element `begin` on.
Vector numbers(const Tensor& x, int64_t begin, int64_t n) {
    Vector result;
    for (int64_t at = begin; at < begin + n; ++at)
        result.push_back(x.dtype == DType::float64 ? x.as<double>()[at] : x.as<float>()[at]);
    return result;
}

/// The vector of one row and head of [rows, heads, n].
Vector vector_of(const Tensor& x, int64_t row, int64_t head) {
    return numbers(x, row * x.strides[0] + head * x.strides[1], x.shape[2]);
}

/// The vector that a table holds for a distance.
Vector vector_at(const RelativeTable& table, int64_t head, int64_t distance) {
    const int64_t reach = table.row_of_distance.count() / 2;
    const int64_t row = table.row_of_distance.as<std::int32_t>()[std::clamp(distance, -reach, reach) + reach];
    return vector_of(table.rows.shape[0] == 1 ? table.rows.slice(0, 0, 1) : table.rows.slice(0, head, head + 1), 0,
                     row);
}

double bias_at(const Tensor& bias, int64_t head, int64_t distance) {
    const int64_t reach = bias.shape[1] / 2;
    return numbers(bias, head * bias.strides[0] + std::clamp(distance, -reach, reach) + reach, 1)[0];
}

double dot(const Vector& a, const Vector& b) {
    double sum = 0;
    for (std::size_t c = 0; c < a.size(); ++c) sum += a[c] * b[c];
    return sum;
}

void add_scaled(Vector& y, double factor, const Vector& x) {
    for (std::size_t c = 0; c < y.size(); ++c) y[c] += factor * x[c];
}

/// One query of one head, and the keys of its sequence.
struct Query {
    int64_t row, head, sequence, keys_begin, keys_end;
};

Query find_query(const AttentionForward& args, int64_t row, int64_t head) {
    LOCUS_CHECK(row >= 0 && row < args.q.shape[0] && head >= 0 && head < args.q.shape[1], "decompose_score",
                "there is no query " + std::to_string(row) + " of head " + std::to_string(head) + " in q " +
                    args.q.shape.to_string());
    const auto* const queries = args.q_rows.offsets.as<std::int32_t>();
    int64_t s = 0;
    while (queries[s + 1] <= row) ++s;
    const auto* const keys = args.k_rows.offsets.as<std::int32_t>();
    return {row, head, s, keys[s], keys[s + 1]};
}

std::vector<int64_t> distances_of(const AttentionForward& args, const Query& query) {
    std::vector<int64_t> distances;
    for (int64_t j = query.keys_begin; j < query.keys_end; ++j)
        distances.push_back(!uses_positions(args.terms) ? 0
                                                        : int64_t{args.q_rows.positions.as<std::int32_t>()[query.row]} -
                                                              args.k_rows.positions.as<std::int32_t>()[j]);
    return distances;
}

/// Appends a term whose value for key row j at distance r is value(j, r).
template <class Value>
void add_summand(QueryDecomposition& to, const Query& query, ScorePart part, std::size_t number, Value value) {
    Vector values;
    for (std::size_t n = 0; n < to.distances.size(); ++n)
        values.push_back(value(query.keys_begin + static_cast<int64_t>(n), to.distances[n]));
    to.summands.push_back({part, number, std::move(values)});
}

void add_summands(QueryDecomposition& to, const AttentionForward& args, const Query& query) {
    const AttentionTerms& terms = args.terms;
    const int64_t head = query.head;
    const Vector q = vector_of(args.q, query.row, head);
    const auto key = [&](int64_t j) { return vector_of(args.k, j, head); };
    const auto add = [&](ScorePart part, std::size_t number, auto value) {
        add_summand(to, query, part, number, value);
    };
    add(ScorePart::content, 0, [&](int64_t j, int64_t) { return terms.scale * dot(q, key(j)); });
    if (terms.content_bias) {
        const Vector u = numbers(terms.content_bias, head * terms.content_bias.strides[0], args.q.shape[2]);
        add(ScorePart::content_bias, 0, [&](int64_t j, int64_t) { return terms.scale * dot(u, key(j)); });
    }
    for (std::size_t n = 0; n < terms.channels.size(); ++n) {
        if (!terms.channels[n]) continue;
        const Vector a = vector_of(terms.channels[n].query, query.row, head);
        add(ScorePart::channels, n,
            [&](int64_t j, int64_t) { return terms.scale * dot(a, vector_of(terms.channels[n].key, j, head)); });
    }
    if (terms.key_table)
        add(ScorePart::content_to_position, 0,
            [&](int64_t, int64_t r) { return terms.scale * dot(q, vector_at(terms.key_table, head, r)); });
    if (terms.key_table && terms.position_bias) {
        const Vector v = numbers(terms.position_bias, head * terms.position_bias.strides[0], args.q.shape[2]);
        add(ScorePart::position_bias, 0,
            [&](int64_t, int64_t r) { return terms.scale * dot(v, vector_at(terms.key_table, head, r)); });
    }
    if (terms.query_table)
        add(ScorePart::position_to_content, 0,
            [&](int64_t j, int64_t r) { return terms.scale * dot(key(j), vector_at(terms.query_table, head, r)); });
    for (std::size_t n = 0; n < terms.biases.size(); ++n)
        if (terms.biases[n])
            add(ScorePart::bias, n, [&](int64_t, int64_t r) { return bias_at(terms.biases[n], head, r); });
}

/// sum, score, log_sum_exp and weights from the summands. Of a query that sees no key all weights are 0.
void add_softmax(QueryDecomposition& to, std::int64_t window) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    double largest = -infinity, total = 0;
    for (std::size_t n = 0; n < to.distances.size(); ++n) {
        double sum = 0;
        for (const ScoreSummand& summand : to.summands) sum += summand.values[n];
        const bool visible = window == 0 || std::abs(to.distances[n]) <= window;
        to.sum.push_back(sum);
        to.score.push_back(visible ? to.sequence_scale * sum : -infinity);
        largest = std::max(largest, to.score[n]);  // passes over NaN, which the sum of exponentials then shows
    }
    for (const double score : to.score) total += score == -infinity ? 0 : std::exp(score - largest);
    to.log_sum_exp = largest + std::log(total);
    for (const double score : to.score) to.weights.push_back(score == -infinity ? 0 : std::exp(score - to.log_sum_exp));
}

void add_output(QueryDecomposition& to, const AttentionForward& args, const Query& query) {
    const RelativeTable& table = args.terms.value_table;
    const auto head_dim = static_cast<std::size_t>(args.q.shape[2]);
    to.from_values.assign(head_dim, 0);
    if (table) to.from_table.assign(head_dim, 0);
    for (std::size_t n = 0; n < to.weights.size(); ++n) {
        Vector value = vector_of(args.value, query.keys_begin + static_cast<int64_t>(n), query.head);
        add_scaled(to.from_values, to.weights[n], value);
        if (table) {
            const Vector by_distance = vector_at(table, query.head, to.distances[n]);
            add_scaled(to.from_table, to.weights[n], by_distance);
            add_scaled(value, 1, by_distance);
        }
        to.added.push_back(to.weights[n] * std::sqrt(dot(value, value)));
    }
}

}  // namespace

QueryDecomposition decompose_score(const AttentionForward& args, std::int64_t row, std::int64_t head) {
    check_attention("decompose_score", args);
    check_attention_numbers("decompose_score", args);
    LOCUS_CHECK(!args.dropout, "decompose_score", "dropout is not taken apart; switch it off");
    const Query query = find_query(args, row, head);
    QueryDecomposition result;
    result.distances = distances_of(args, query);
    if (args.terms.sequence_scale) result.sequence_scale = args.terms.sequence_scale.as<double>()[query.sequence];
    add_summands(result, args, query);
    add_softmax(result, args.terms.window);
    add_output(result, args, query);
    return result;
}

}  // namespace locus
