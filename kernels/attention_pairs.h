#pragma once
// Terms by distance on a tile whose positions do not run on by one (masked rows with their true positions, randomised positions): pair by
// pair. The formulas of attention.h as they stand, vectorised along head_dim.
//
// cost     per pair and table a dot product forward, two additions of a vector backward

#include <cstdlib>

#include "kernels/attention_softmax.h"
#include "kernels/attention_terms.h"

namespace locus::LOCUS_TARGET {

/// The queries and keys of a tile by their positions.
struct Pairs {
    const std::int32_t *q_positions, *k_positions;
    int64_t q_count, k_count, head;

    int64_t distance(int64_t i, int64_t j) const { return int64_t{q_positions[i]} - k_positions[j]; }
};

/// Gradients of the terms of one head, summed over a group of sequences; null where none is wanted.
template <class T>
struct TermSums {
    T *key = nullptr, *query = nullptr, *value = nullptr;  // [rows that the batch can see, width]
    int64_t key_first = 0, query_first = 0, value_first = 0;
    T *content = nullptr, *position = nullptr;  // [width]
    std::array<BiasLookup<T>, max_attention_biases> biases;
};

template <class T>
inline T dot(const T* a, const T* b, int64_t n) {
    T sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t c = 0; c < n; ++c) sum += a[c] * b[c];
    return sum;
}

/// y += factor * x
template <class T>
inline void add_scaled(T* y, T factor, const T* x, int64_t n) {
#pragma omp simd
    for (int64_t c = 0; c < n; ++c) y[c] += factor * x[c];
}

/// Adds the terms by distance to the scores. q: scale * (q + v), k: plain rows.
template <class T>
void add_pair_scores(Tile<T> s, const Pairs& pairs, const Terms<T>& terms, Rows<const T> q, Rows<const T> k) {
    for (int64_t i = 0; i < pairs.q_count; ++i) {
        for (int64_t j = 0; j < pairs.k_count; ++j) {
            const int64_t r = pairs.distance(i, j);
            T sum = terms.bias(pairs.head, r);
            if (terms.key) sum += dot(q.data + i * q.stride, terms.key.vector(pairs.head, r), terms.head_dim);
            if (terms.query)
                sum += terms.scale * dot(k.data + j * k.stride, terms.query.vector(pairs.head, r), terms.head_dim);
            T& score = s.data[i * s.row + j];
            score = terms.window > 0 && std::abs(r) > terms.window ? minus_infinity<T> : score + sum;
        }
    }
}

/// out_i += sum_j P(i, j) V[row(r)]
template <class T>
void add_pair_values(Tile<const T> p, const Pairs& pairs, const Terms<T>& terms, Rows<T> out) {
    for (int64_t i = 0; i < pairs.q_count; ++i)
        for (int64_t j = 0; j < pairs.k_count; ++j)
            add_scaled(out.data + i * out.stride, p.data[i * p.row + j],
                       terms.value.vector(pairs.head, pairs.distance(i, j)), terms.head_dim);
}

/// dP(i, j) += dout_i . V[row(r)]
template <class T>
void add_pair_value_scores(Tile<T> dp, const Pairs& pairs, const Terms<T>& terms, Rows<const T> dout) {
    for (int64_t i = 0; i < pairs.q_count; ++i)
        for (int64_t j = 0; j < pairs.k_count; ++j)
            dp.data[i * dp.row + j] +=
                dot(dout.data + i * dout.stride, terms.value.vector(pairs.head, pairs.distance(i, j)), terms.head_dim);
}

/// Packed rows of a tile that the gradients need: scale * (q + v), dout, k.
template <class T>
struct PairRows {
    Rows<const T> q, dout, k;
};

/// The gradients of the terms, and their share of dq (not yet multiplied by scale) and dk, from drop(P) and dS.
/// `row` has room for width elements.
template <class T>
void add_pair_gradients(Tile<const T> p, Tile<const T> ds, const Pairs& pairs, const Terms<T>& terms,
                        const PairRows<T>& from, Rows<T> dq, Rows<T> dk, const TermSums<T>& sums, T* row) {
    const int64_t n = terms.head_dim;
    for (int64_t i = 0; i < pairs.q_count; ++i) {
        std::fill_n(row, terms.width, T{0});
        for (int64_t j = 0; j < pairs.k_count; ++j) {
            const int64_t r = pairs.distance(i, j);
            const T dropped = p.data[i * p.row + j], gradient = ds.data[i * ds.row + j];
            const T scaled = terms.scale * gradient;
            if (sums.value != nullptr && dropped != 0)
                add_scaled(sums.value + (terms.value.row(r) - sums.value_first) * terms.width, dropped,
                           from.dout.data + i * from.dout.stride, n);
            if (gradient == 0) continue;  // dropped by the window
            for (const BiasLookup<T>& bias : sums.biases)
                if (bias) bias.at(0, r) += gradient;
            if (terms.key) add_scaled(row, gradient, terms.key.vector(pairs.head, r), n);
            if (sums.key != nullptr)
                add_scaled(sums.key + (terms.key.row(r) - sums.key_first) * terms.width, gradient,
                           from.q.data + i * from.q.stride, n);
            if (terms.query) add_scaled(dk.data + j * dk.stride, scaled, terms.query.vector(pairs.head, r), n);
            if (sums.query != nullptr)
                add_scaled(sums.query + (terms.query.row(r) - sums.query_first) * terms.width, scaled,
                           from.k.data + j * from.k.stride, n);
        }
        add_scaled(dq.data + i * dq.stride, T{1}, row, n);
        if (sums.position != nullptr) add_scaled(sums.position, terms.scale, row, n);
    }
}

}  // namespace locus::LOCUS_TARGET
