// The textbook of attention: the formulas of attention.h as plain loops in float64, one query of one head at a time.
// It shows what is computed; attention.cpp shows how to compute it fast, and is tested against this file.
//
//   cost     the same number of operations, none of them vectorised; memory O(keys) per query
//   papers   attention.h

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/attention.h"
#include "kernels/attention_check.h"
#include "kernels/random.h"

namespace locus {
namespace {

using Vector = double*;  // head_dim numbers

/// The vector of one row and head of [rows, heads, head_dim].
Vector vector_of(const Tensor& x, int64_t row, int64_t head) {
    return x.as<double>() + row * x.strides[0] + head * x.strides[1];
}

/// The vector that a table, or its gradient, holds for a distance; null when there is none.
Vector vector_at(const Tensor& rows, const Tensor& row_of_distance, int64_t head, int64_t distance) {
    if (!rows) return nullptr;
    const int64_t reach = row_of_distance.count() / 2;
    const int64_t row = row_of_distance.as<std::int32_t>()[std::clamp(distance, -reach, reach) + reach];
    return rows.as<double>() + (rows.shape[0] == 1 ? 0 : head) * rows.strides[0] + row * rows.strides[1];
}

/// The number that a bias, or its gradient, holds for a distance.
double& bias_at(const Tensor& bias, int64_t head, int64_t distance) {
    const int64_t reach = bias.shape[1] / 2;
    return bias.as<double>()[head * bias.strides[0] + std::clamp(distance, -reach, reach) + reach];
}

Vector head_vector(const Tensor& x, int64_t head) { return x ? x.as<double>() + head * x.strides[0] : nullptr; }

double dot(const double* a, const double* b, int64_t n) {
    double sum = 0.0;
    for (int64_t c = 0; c < n; ++c) sum += a[c] * b[c];
    return sum;
}

/// y += factor * x; no effect when either is absent.
void add_scaled(double* y, double factor, const double* x, int64_t n) {
    if (y == nullptr || x == nullptr) return;
    for (int64_t c = 0; c < n; ++c) y[c] += factor * x[c];
}

std::vector<double> sum_of(const double* a, const double* b, int64_t n) {
    std::vector<double> sum(a, a + n);
    add_scaled(sum.data(), 1.0, b, n);
    return sum;
}

/// One query of one head, and the keys of its sequence.
struct Query {
    int64_t row, head, sequence, keys_begin, keys_end;
};

template <class Args, class Visit>
void for_each_query(const Args& args, Visit visit) {
    const std::int32_t* queries = args.q_rows.offsets.template as<std::int32_t>();
    const std::int32_t* keys = args.k_rows.offsets.template as<std::int32_t>();
    for (int64_t s = 0; s + 1 < args.q_rows.offsets.count(); ++s)
        for (int64_t row = queries[s]; row < queries[s + 1]; ++row)
            for (int64_t head = 0; head < args.q.shape[1]; ++head) visit(Query{row, head, s, keys[s], keys[s + 1]});
}

/// r = p_i - p_j; 0 where nothing depends on it and no positions are given.
template <class Args>
int64_t distance(const Args& args, int64_t i, int64_t j) {
    if (!uses_positions(args.terms)) return 0;
    return int64_t{args.q_rows.positions.template as<std::int32_t>()[i]} -
           args.k_rows.positions.template as<std::int32_t>()[j];
}

/// score(i, j) for every key j of the sequence; minus infinity outside the window.
template <class Args>
std::vector<double> scores(const Args& args, const Query& query) {
    const AttentionTerms& terms = args.terms;
    const int64_t head = query.head, head_dim = args.q.shape[2];
    const double* q = vector_of(args.q, query.row, head);
    const std::vector<double> q_plus_u = sum_of(q, head_vector(terms.content_bias, head), head_dim);
    const std::vector<double> q_plus_v = sum_of(q, head_vector(terms.position_bias, head), head_dim);
    std::vector<double> score;
    for (int64_t j = query.keys_begin; j < query.keys_end; ++j) {
        const int64_t r = distance(args, query.row, j);
        const double* k = vector_of(args.k, j, head);
        const double* key = vector_at(terms.key_table.rows, terms.key_table.row_of_distance, head, r);
        const double* qry = vector_at(terms.query_table.rows, terms.query_table.row_of_distance, head, r);
        double sum = dot(q_plus_u.data(), k, head_dim);
        for (const AttentionChannels& part : terms.channels)
            if (part)
                sum += dot(vector_of(part.query, query.row, head), vector_of(part.key, j, head), part.query.shape[2]);
        if (key != nullptr) sum += dot(q_plus_v.data(), key, head_dim);
        if (qry != nullptr) sum += dot(k, qry, head_dim);
        sum *= terms.scale;
        for (const Tensor& bias : terms.biases)
            if (bias) sum += bias_at(bias, head, r);
        if (terms.sequence_scale) sum *= terms.sequence_scale.as<double>()[query.sequence];
        const bool visible = terms.window == 0 || std::abs(r) <= terms.window;
        score.push_back(visible ? sum : -std::numeric_limits<double>::infinity());
    }
    return score;
}

/// log sum_j exp(score_j), and minus infinity when no key is visible.
double log_sum_exp(const std::vector<double>& score) {
    double largest = -std::numeric_limits<double>::infinity();
    for (const double x : score) largest = std::max(largest, x);
    if (largest == -std::numeric_limits<double>::infinity()) {
        // Nothing visible, or NaN, which compares with nothing and must stay visible.
        for (const double x : score)
            if (std::isnan(x)) return x;
        return largest;
    }
    double sum = 0.0;
    for (const double x : score) sum += std::exp(x - largest);
    return largest + std::log(sum);
}

/// P = exp(score - log_sum_exp)
std::vector<double> probabilities(std::vector<double> score, double log_sum_exp) {
    for (double& x : score) x = x == -std::numeric_limits<double>::infinity() ? 0.0 : std::exp(x - log_sum_exp);
    return score;
}

/// What dropout multiplies P(i, j) with: 0 or 1 / (1 - p).
template <class Args>
double dropout_factor(const Args& args, const Query& query, int64_t key) {
    if (!args.dropout) return 1.0;
    const auto column = static_cast<std::uint32_t>(key);
    const auto row = static_cast<std::uint32_t>(args.dropout_rows.position.template as<std::int32_t>()[query.row]);
    const auto sequence = static_cast<std::uint32_t>(
        args.dropout_rows.sequence.template as<std::int32_t>()[query.row] * args.q.shape[1] + query.head);
    const Philox4 words =
        philox({args.dropout.seed, args.dropout.site}, {column / 8, row, sequence, args.dropout.step});
    const std::uint32_t bits = (words[column % 8 / 2] >> (column % 2 * 16)) & 0xFFFFU;
    const double threshold = std::round(65536.0 * static_cast<double>(args.dropout.probability));
    return bits >= threshold ? 65536.0 / (65536.0 - threshold) : 0.0;
}

}  // namespace

void attention_reference_forward(const AttentionForward& args) {
    check_attention("attention_reference_forward", args);
    check_attention_numbers("attention_reference_forward", args);
    LOCUS_CHECK(args.q.dtype == DType::float64, "attention_reference_forward", "the textbook is float64 only");
    const AttentionTerms& terms = args.terms;
    const int64_t heads = args.q.shape[1], head_dim = args.q.shape[2];
    for_each_query(args, [&](const Query& query) {
        const std::vector<double> score = scores(args, query);
        const double normaliser = log_sum_exp(score);
        const std::vector<double> p = probabilities(score, normaliser);
        double* out = vector_of(args.out, query.row, query.head);
        std::fill_n(out, head_dim, 0.0);
        for (int64_t j = query.keys_begin; j < query.keys_end; ++j) {
            const int64_t key = j - query.keys_begin, r = distance(args, query.row, j);
            const double dropped = p[static_cast<std::size_t>(key)] * dropout_factor(args, query, key);
            add_scaled(out, dropped, vector_of(args.value, j, query.head), head_dim);
            add_scaled(out, dropped,
                       vector_at(terms.value_table.rows, terms.value_table.row_of_distance, query.head, r), head_dim);
        }
        args.log_sum_exp.as<double>()[query.row * heads + query.head] = normaliser;
    });
}

namespace {

/// Adds what one pair (query, key) contributes to every gradient.
///   p dropped   drop(P(i, j))        ds   dS(i, j)
void add_pair_gradients(const AttentionBackward& args, const Query& query, int64_t j, double dropped, double ds) {
    const AttentionTerms& terms = args.terms;
    const AttentionTermGradients& d = args.dterms;
    const int64_t head = query.head, n = args.q.shape[2], r = distance(args, query.row, j);
    const double scaled = terms.scale * ds;
    const double* q = vector_of(args.q, query.row, head);
    const double* k = vector_of(args.k, j, head);
    const double* dout = vector_of(args.dout, query.row, head);
    const Tensor &key_map = terms.key_table.row_of_distance, &query_map = terms.query_table.row_of_distance,
                 &value_map = terms.value_table.row_of_distance;
    const double* key = vector_at(terms.key_table.rows, key_map, head, r);
    const double* qry = vector_at(terms.query_table.rows, query_map, head, r);

    double* dq = vector_of(args.dq, query.row, head);
    add_scaled(dq, scaled, k, n);
    add_scaled(dq, scaled, key, n);
    double* dk = vector_of(args.dk, j, head);
    add_scaled(dk, scaled, q, n);
    add_scaled(dk, scaled, head_vector(terms.content_bias, head), n);
    add_scaled(dk, scaled, qry, n);
    add_scaled(vector_of(args.dvalue, j, head), dropped, dout, n);

    add_scaled(head_vector(d.content_bias, head), scaled, k, n);
    add_scaled(head_vector(d.position_bias, head), scaled, key, n);
    add_scaled(vector_at(d.key_table, key_map, head, r), scaled, q, n);
    add_scaled(vector_at(d.key_table, key_map, head, r), scaled, head_vector(terms.position_bias, head), n);
    add_scaled(vector_at(d.query_table, query_map, head, r), scaled, k, n);
    add_scaled(vector_at(d.value_table, value_map, head, r), dropped, dout, n);
    for (const Tensor& bias : d.biases)
        if (bias) bias_at(bias, head, r) += ds;
    for (std::size_t part = 0; part < d.channels.size(); ++part) {
        const AttentionChannels &x = terms.channels[part], &dx = d.channels[part];
        if (dx.query)
            add_scaled(vector_of(dx.query, query.row, head), scaled, vector_of(x.key, j, head), x.key.shape[2]);
        if (dx.key)
            add_scaled(vector_of(dx.key, j, head), scaled, vector_of(x.query, query.row, head), x.query.shape[2]);
    }
}

void set_zero(const Tensor& x) {
    for (int64_t row = 0; row < x.shape[0]; ++row) std::fill_n(vector_of(x, row, 0), x.shape[1] * x.shape[2], 0.0);
}

}  // namespace

void attention_reference_backward(const AttentionBackward& args) {
    check_attention("attention_reference_backward", args);
    check_attention_numbers("attention_reference_backward", args);
    LOCUS_CHECK(args.q.dtype == DType::float64, "attention_reference_backward", "the textbook is float64 only");
    const RelativeTable& table = args.terms.value_table;
    const int64_t heads = args.q.shape[1], head_dim = args.q.shape[2];
    if (!args.accumulate)
        for (const Tensor& gradient : {args.dq, args.dk, args.dvalue}) set_zero(gradient);
    for_each_query(args, [&](const Query& query) {
        const double normaliser = args.log_sum_exp.as<double>()[query.row * heads + query.head];
        const std::vector<double> p = probabilities(scores(args, query), normaliser);
        const double* dout = vector_of(args.dout, query.row, query.head);
        std::vector<double> factor, dp;  // of dropout; dP(i, j)
        double weighted_sum = 0.0;       // D_i
        const double scale = args.terms.sequence_scale ? args.terms.sequence_scale.as<double>()[query.sequence] : 1.0;
        for (int64_t j = query.keys_begin; j < query.keys_end; ++j) {
            const int64_t key = j - query.keys_begin, r = distance(args, query.row, j);
            const double* row = vector_at(table.rows, table.row_of_distance, query.head, r);
            double sum = dot(dout, vector_of(args.value, j, query.head), head_dim);
            if (row != nullptr) sum += dot(dout, row, head_dim);
            factor.push_back(dropout_factor(args, query, key));
            dp.push_back(factor.back() * sum);
            weighted_sum += p[static_cast<std::size_t>(key)] * dp.back();
        }
        for (int64_t j = query.keys_begin; j < query.keys_end; ++j) {
            const auto key = static_cast<std::size_t>(j - query.keys_begin);
            add_pair_gradients(args, query, j, p[key] * factor[key], scale * p[key] * (dp[key] - weighted_sum));
        }
    });
}

}  // namespace locus
