// Softmax and cross-entropy, row by row: largest logit, exponentials and their sum, gradient. A row of logits stays in the cache between
// the passes over it.

#include "kernels/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "kernels/checks.h"
#include "kernels/for_dtype.h"
#include "kernels/isa.h"
#include "kernels/row_blocks.h"
#include "kernels/vector_math.h"

namespace locus::LOCUS_TARGET {
namespace {

template <class T>
struct Extremes {
    T least, largest;
};

// z = x + bias. Comparisons are false for NaN, which therefore passes by here and shows in the sum of exponentials.
template <class T>
Extremes<T> extremes(const T* x, const T* bias, std::int64_t columns) {
    T least = std::numeric_limits<T>::infinity(), largest = -least;
#pragma omp simd reduction(min : least) reduction(max : largest)
    for (std::int64_t v = 0; v < columns; ++v) {
        const T z = bias == nullptr ? x[v] : x[v] + bias[v];
        least = z < least ? z : least;
        largest = z > largest ? z : largest;
    }
    return {least, largest};
}

template <class T>
T exponentials(T* x, const T* bias, T largest, std::int64_t columns, bool store) {
    T sum = 0;
    if (store) {
#pragma omp simd reduction(+ : sum)
        for (std::int64_t v = 0; v < columns; ++v) {
            x[v] = vector_exp((bias == nullptr ? x[v] : x[v] + bias[v]) - largest);
            sum += x[v];
        }
    } else {
#pragma omp simd reduction(+ : sum)
        for (std::int64_t v = 0; v < columns; ++v) {
            sum += vector_exp((bias == nullptr ? x[v] : x[v] + bias[v]) - largest);
        }
    }
    return sum;
}

template <class T>
struct RowLoss {
    double loss;
    bool correct;
};

// A logit of minus infinity alone would leave the sum finite: the least logit shows it.
template <class T>
RowLoss<T> loss_of_row(T* x, const T* bias, std::int64_t columns, std::int64_t target, bool store, T* sum) {
    const Extremes<T> range = extremes(x, bias, columns);
    const auto logit = [&](std::int64_t v) { return bias == nullptr ? x[v] : x[v] + bias[v]; };
    const T target_logit = logit(target);
    bool correct = target_logit == range.largest;
    for (std::int64_t v = 0; correct && v < target; ++v) correct = logit(v) != range.largest;
    *sum = exponentials(x, bias, range.largest, columns, store);
    const double loss =
        std::log(static_cast<double>(*sum)) + static_cast<double>(range.largest) - static_cast<double>(target_logit);
    const bool finite = std::isfinite(range.least) && std::isfinite(loss);
    return {finite ? loss : std::numeric_limits<double>::quiet_NaN(), finite && correct};
}

template <class T>
void cross_entropy_rows(const CrossEntropy& args, std::int64_t rows, std::int64_t columns) {
    T* const logits = args.logits.as<T>();
    const T* const bias = args.bias ? args.bias.as<T>() : nullptr;
    const auto* const targets = args.targets.as<std::int32_t>();
    auto* const loss = args.loss.as<double>();
    auto* const correct = args.correct.as<std::int32_t>();
    T* const dbias = args.dbias ? args.dbias.as<T>() : nullptr;
    const T scale = static_cast<T>(args.scale);
    sum_row_blocks<T>(
        rows, dbias == nullptr ? 0 : columns,
        [=](std::int64_t begin, std::int64_t end, T* partial) {
            for (std::int64_t r = begin; r < end; ++r) {
                T* const x = logits + r * columns;
                T sum = 0;
                const RowLoss<T> row = loss_of_row(x, bias, columns, targets[r], args.gradient, &sum);
                loss[r] = row.loss;
                correct[r] = row.correct ? 1 : 0;
                if (!args.gradient) continue;
                const T factor = scale / sum;
#pragma omp simd
                for (std::int64_t v = 0; v < columns; ++v) x[v] *= factor;
                x[targets[r]] -= scale;
                if (dbias == nullptr) continue;
#pragma omp simd
                for (std::int64_t v = 0; v < columns; ++v) partial[v] += x[v];
            }
        },
        [=](std::int64_t v, T total) { dbias[v] += total; });
}

void check(const CrossEntropy& args, Shape shape) {
    check_contiguous("cross_entropy", "logits", args.logits, shape);
    if (args.bias) check_contiguous("cross_entropy", "bias", args.bias, {shape[1]});
    check_contiguous("cross_entropy", "targets", args.targets, {shape[0]});
    check_contiguous("cross_entropy", "loss", args.loss, {shape[0]});
    check_contiguous("cross_entropy", "correct", args.correct, {shape[0]});
    if (args.dbias) check_contiguous("cross_entropy", "dbias", args.dbias, {shape[1]});
    LOCUS_CHECK(!args.dbias || args.gradient, "cross_entropy", "dbias is asked for without the gradient");
    const auto* const targets = args.targets.as<std::int32_t>();
    for (std::int64_t r = 0; r < shape[0]; ++r) {
        if (targets[r] >= 0 && targets[r] < shape[1]) continue;
        throw std::out_of_range("[cross_entropy] target " + std::to_string(targets[r]) + " in row " +
                                std::to_string(r) + " is outside [0, " + std::to_string(shape[1]) + ")");
    }
}

}  // namespace

void cross_entropy(const CrossEntropy& args) {
    const Shape shape = matrix_shape("cross_entropy", "logits", args.logits);
    check(args, shape);
    for_dtype("cross_entropy", args.logits.dtype,
              [&](auto zero) { cross_entropy_rows<decltype(zero)>(args, shape[0], shape[1]); });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(cross_entropy, CrossEntropy)
