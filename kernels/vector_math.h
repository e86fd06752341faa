#pragma once
// exp, tanh and the normal distribution, written so that a loop over them vectorises: no branch, no table, no call. For float these are
// polynomials of our own; for double they forward to libm, so that float64 is the accurate reference and not the fast path.
//
//   vector_exp(x)        float: relative error below 2.5e-7; results below 2^-125 are 0, above the largest float infinity; NaN stays NaN
//   vector_tanh(x)       float: absolute error below 2e-7
//   normal_distribution(z)  -> {cdf, density}, Phi(z) and phi(z): absolute error below 1e-7, and relative error below 4e-6 in the left tail down
//                        to z = -8, where the textbook form (1 + erf(z / sqrt 2)) / 2 would cancel to nothing
//
// Use them inside `#pragma omp simd` loops. Like everything that kernels include, they live in the namespace of their instruction set (isa.h).

#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>

namespace locus::LOCUS_TARGET {

// exp(x) = 2^n exp(r), n = round(x log2 e), |r| <= ln 2 / 2. Adding 1.5 * 2^23 rounds to an integer and leaves it in the low
// bits of the float, from where a shift makes it the exponent. The power is taken as 2^(n-1) * 2, because 2^128 is not a float.
// Coefficients: a least-maximum fit of the relative error over |r| <= ln 2 / 2 (1.1e-7), with 1 and r held exact.
inline float vector_exp(float x) {
    constexpr float rounder = 0x1.8p23F;
    constexpr float ln2_high = 0x1.62e4p-1F, ln2_low = 0x1.7f7d1cp-20F;  // n * ln2_high is exact
    const float bounded = x > 89.0F ? 89.0F : x;
    const float shifted = bounded * std::numbers::log2e_v<float> + rounder;
    const float n = shifted - rounder;
    const float r = (bounded - n * ln2_high) - n * ln2_low;
    const float polynomial =
        1.0F + r * (1.0F + r * (0.499992315F + r * (0.166671146F + r * (0.0418901571F + r * 0.00831252033F))));
    const std::uint32_t exponent = (std::bit_cast<std::uint32_t>(shifted) << 23U) + (126U << 23U);
    const float result = polynomial * std::bit_cast<float>(exponent) * 2.0F;
    return x < -86.9F ? 0.0F : result;
}
inline double vector_exp(double x) { return std::exp(x); }

inline float vector_tanh(float x) {
    const float bounded = x > 10.0F ? 10.0F : x < -10.0F ? -10.0F : x;
    return 1.0F - 2.0F / (vector_exp(2.0F * bounded) + 1.0F);
}
inline double vector_tanh(double x) { return std::tanh(x); }

template <class T>
struct Normal {
    T cdf, density;
};

// Phi(-u) = exp(-u^2 / 2) * t P(t), t = 1 / (1 + c u), u = |z|: one exponential serves both values. P: a least-maximum fit of the relative error
// for 0 <= u <= 13 (2.3e-8), its constant c chosen so that the degree is least.
inline Normal<float> normal_distribution(float z) {
    const float u = z < 0.0F ? -z : z;
    const float e = vector_exp(-0.5F * u * u);
    const float t = 1.0F / (1.0F + 0.34F * u);
    float p = -0.0266262441F;
    p = p * t + 0.141876994F;
    p = p * t + -0.27786397F;
    p = p * t + 0.207372646F;
    p = p * t + -0.0481400368F;
    p = p * t + 0.116742958F;
    p = p * t + 0.114863392F;
    p = p * t + 0.136156178F;
    p = p * t + 0.135618094F;
    const float tail = e * (t * p);
    return {z < 0.0F ? tail : 1.0F - tail, 0.398942280F * e};
}
inline Normal<double> normal_distribution(double z) {
    constexpr double inverse_sqrt_2pi = std::numbers::inv_sqrtpi / std::numbers::sqrt2;
    return {0.5 * std::erfc(-z / std::numbers::sqrt2), inverse_sqrt_2pi * std::exp(-0.5 * z * z)};
}

}  // namespace locus::LOCUS_TARGET
