#pragma once
// What happens to one row of scores between the two products: softmax with a running maximum, dropout, and the gradient of both.
//
//     forward    m' = max(m, max_j s_j),  P_j = exp(s_j - m'),  l' = l exp(m - m') + sum_j P_j;   P is dropped after the sum
//     backward   P_j = exp(s_j - log_sum_exp),  dS_j = P_j (drop'(dP_j) - D)
//
// A key that must not be seen has the score minus infinity and gets P = 0 exactly. A NaN score makes the sum NaN.
//
// In float32 a P below e^-55 = 1.3e-24 is 0: next to the row's largest it is far below rounding, but times a small dP it would be a denormal number, on
// which the multiply-adds of the next products are many times slower. ALiBi has whole bands of such keys (docs/performance.md).
// papers   Milakov and Gimelshein 2018 (online softmax); Dao 2022

#include <algorithm>
#include <cstdint>
#include <limits>

#include "kernels/attention_product.h"
#include "kernels/philox_lanes.h"
#include "kernels/vector_math.h"

namespace locus::LOCUS_TARGET {

template <class T>
constexpr T minus_infinity = -std::numeric_limits<T>::infinity();

/// x[begin .. end-1] times factor.
template <class T>
inline void scale_row(T* x, int64_t begin, int64_t end, T factor) {
    if (factor == T{1}) return;
#pragma omp simd
    for (int64_t j = begin; j < end; ++j) x[j] *= factor;
}

/// exp(x), x at most 0 but for rounding; 0 where nothing of it would be seen.
inline float softmax_exp(float x) {
    const float e = vector_exp(x);
    return x < -55.0F ? 0.0F : e;
}
inline double softmax_exp(double x) { return vector_exp(x); }

/// What the softmax of a query knows after some of its keys.
template <class T>
struct Running {
    T maximum = minus_infinity<T>;
    T sum = 0;
};

/// The largest of s[begin .. end-1]; minus infinity for none. Lane by lane, because a maximum that must not hide a NaN is no reduction to
/// every compiler; here a NaN may be passed over, the sum of the exponentials will show it.
template <class T>
inline T largest_of(const T* s, int64_t begin, int64_t end) {
    constexpr int64_t width = VectorOf<T>::width;
    T lanes[width];
    std::fill_n(lanes, width, minus_infinity<T>);
    int64_t j = begin;
    for (; j + width <= end; j += width) {
#pragma omp simd
        for (int64_t lane = 0; lane < width; ++lane)
            lanes[lane] = s[j + lane] > lanes[lane] ? s[j + lane] : lanes[lane];
    }
    for (; j < end; ++j) lanes[0] = s[j] > lanes[0] ? s[j] : lanes[0];
    return *std::max_element(lanes, lanes + width);
}

/// Turns the scores of the keys begin .. end-1 into exp(s - maximum); returns what earlier sums and outputs must be multiplied with.
template <class T>
inline T softmax_row(T* s, int64_t begin, int64_t end, Running<T>& running) {
    const T largest = std::max(running.maximum, largest_of(s, begin, end));
    const T shift = largest == minus_infinity<T> ? T{0} : largest;
    T sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = begin; j < end; ++j) {
        s[j] = softmax_exp(s[j] - shift);
        sum += s[j];
    }
    const T correction = vector_exp(running.maximum - shift);
    running.maximum = largest;
    running.sum = running.sum * correction + sum;
    return correction;
}

/// bits: the decisions of the tile's keys.
template <class T>
inline void drop_row(T* p, int64_t begin, int64_t end, const std::uint16_t* bits, const DropoutRule& rule) {
    const T scale = static_cast<T>(rule.scale);
    const std::uint32_t threshold = rule.threshold;
#pragma omp simd
    for (int64_t j = begin; j < end; ++j) p[j] = bits[j] >= threshold ? p[j] * scale : T{0};
}

/// Scores become drop(P), and dP, the gradient of drop(P), becomes dS. bits: null when nothing is dropped.
template <class T>
inline void softmax_row_backward(T* s, T* dp, int64_t begin, int64_t end, T log_sum_exp, T weighted_sum,
                                 const std::uint16_t* bits, const DropoutRule& rule) {
    const T shift = log_sum_exp == minus_infinity<T> ? T{0} : log_sum_exp;
    if (bits == nullptr) {
#pragma omp simd
        for (int64_t j = begin; j < end; ++j) {
            s[j] = softmax_exp(s[j] - shift);
            dp[j] = s[j] * (dp[j] - weighted_sum);
        }
        return;
    }
    const T scale = static_cast<T>(rule.scale);
    const std::uint32_t threshold = rule.threshold;
#pragma omp simd
    for (int64_t j = begin; j < end; ++j) {
        const T p = softmax_exp(s[j] - shift);
        const T factor = bits[j] >= threshold ? scale : T{0};
        dp[j] = p * (dp[j] * factor - weighted_sum);
        s[j] = p * factor;
    }
}

}  // namespace locus::LOCUS_TARGET
