#pragma once
// What the programs of the chapters share: vectors of numbers as tensors, random ones, and central differences.

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/random.h"
#include "kernels/tensor.h"

namespace locus::learn {

using Values = std::vector<double>;

inline Tensor view(Values& values, Shape shape) { return Tensor(values.data(), shape, DType::float64); }

/// Standard normal numbers, the same for the same seed.
inline Values random_values(std::size_t count, std::uint32_t seed) {
    Values values;
    for (std::uint32_t n = 0; n < count; ++n) {
        const Philox4 bits = philox({seed, 0}, {n, 0, 0, 0});
        values.push_back(box_muller(bits[0], bits[1])[0]);
    }
    return values;
}

inline double dot(const Values& a, const Values& b) {
    double sum = 0.0;
    for (std::size_t n = 0; n < a.size(); ++n) sum += a[n] * b[n];
    return sum;
}

/// The gradient of objective() by x, where objective() reads x: (f(x + h) - f(x - h)) / 2h, one number at a time.
template <class Objective>
Values central_differences(Values& x, Objective objective, double h = 1e-5) {
    Values differences;
    for (double& value : x) {
        const double kept = value;
        value = kept + h;
        const double above = objective();
        value = kept - h;
        differences.push_back((above - objective()) / (2 * h));
        value = kept;
    }
    return differences;
}

/// Infinite when anything is NaN.
inline double largest_difference(const Values& a, const Values& b) {
    double largest = 0.0;
    for (std::size_t n = 0; n < a.size(); ++n) {
        const double difference = std::abs(a[n] - b[n]);
        if (!(difference <= largest)) largest = std::isnan(difference) ? INFINITY : difference;
    }
    return largest;
}

}  // namespace locus::learn
