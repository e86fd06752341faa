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

// A row of logits. Whether there is a bias is known when the loops are compiled: a test inside would keep them from vectorising.
template <class T, bool biased>
struct Logits {
    T* x;
    const T* bias;
    T operator[](std::int64_t v) const {
        if constexpr (biased) return x[v] + bias[v];
        return x[v];
    }
};

template <class T>
struct Extremes {
    T least, largest;
};

// Comparisons are false for NaN, which therefore passes by here and shows in the sum of exponentials.
template <class T, bool biased>
Extremes<T> extremes(Logits<T, biased> logits, std::int64_t columns) {
    T least = std::numeric_limits<T>::infinity(), largest = -least;
#pragma omp simd reduction(min : least) reduction(max : largest)
    for (std::int64_t v = 0; v < columns; ++v) {
        const T z = logits[v];
        least = z < least ? z : least;
        largest = z > largest ? z : largest;
    }
    return {least, largest};
}

// The sum of exp(z - largest); the exponentials take the place of the logits when `store` is set.
template <bool store, class T, bool biased>
T exponentials(Logits<T, biased> logits, T largest, std::int64_t columns) {
    T sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t v = 0; v < columns; ++v) {
        const T e = vector_exp(logits[v] - largest);
        if constexpr (store) logits.x[v] = e;
        sum += e;
    }
    return sum;
}

template <class T>
struct RowLoss {
    double loss;
    bool correct;
    T sum;  // of the exponentials
};

// A logit of minus infinity alone would leave the sum finite: the least logit shows it.
template <bool store, class T, bool biased>
RowLoss<T> loss_of_row(Logits<T, biased> logits, std::int64_t columns, std::int64_t target) {
    const Extremes<T> range = extremes(logits, columns);
    const T target_logit = logits[target];
    bool correct = target_logit == range.largest;
    for (std::int64_t v = 0; correct && v < target; ++v) correct = logits[v] != range.largest;
    const T sum = exponentials<store>(logits, range.largest, columns);
    const double loss =
        std::log(static_cast<double>(sum)) + static_cast<double>(range.largest) - static_cast<double>(target_logit);
    const bool finite = std::isfinite(range.least) && std::isfinite(loss);
    return {finite ? loss : std::numeric_limits<double>::quiet_NaN(), finite && correct, sum};
}

template <class T, bool biased, bool gradient>
void cross_entropy_rows(const CrossEntropy& args, std::int64_t rows, std::int64_t columns) {
    T* const logits = args.logits.as<T>();
    const std::int64_t stride = args.logits.strides[0];
    const T* const bias = biased ? args.bias.as<T>() : nullptr;
    const auto* const targets = args.targets.as<std::int32_t>();
    auto* const loss = args.loss.as<double>();
    auto* const correct = args.correct.as<std::int32_t>();
    T* const dbias = args.dbias ? args.dbias.as<T>() : nullptr;
    const T scale = static_cast<T>(args.scale);
    sum_row_blocks<T>(
        rows, dbias == nullptr ? 0 : columns,
        [=](std::int64_t begin, std::int64_t end, T* partial) {
            for (std::int64_t r = begin; r < end; ++r) {
                T* const x = logits + r * stride;
                const RowLoss<T> row = loss_of_row<gradient>(Logits<T, biased>{x, bias}, columns, targets[r]);
                loss[r] = row.loss;
                correct[r] = row.correct ? 1 : 0;
                if constexpr (!gradient) continue;
                const T factor = std::isfinite(row.loss) ? scale / row.sum : std::numeric_limits<T>::quiet_NaN();
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

template <class T>
void cross_entropy_of(const CrossEntropy& args, std::int64_t rows, std::int64_t columns) {
    if (args.bias && args.gradient) return cross_entropy_rows<T, true, true>(args, rows, columns);
    if (args.bias) return cross_entropy_rows<T, true, false>(args, rows, columns);
    if (args.gradient) return cross_entropy_rows<T, false, true>(args, rows, columns);
    cross_entropy_rows<T, false, false>(args, rows, columns);
}

[[maybe_unused]] void check(const CrossEntropy& args) {
    const Op op = {"cross_entropy", args.logits.device};
    const Shape shape = matrix_shape(op, "logits", args.logits);
    check_rows(op, "logits", args.logits, shape);
    if (args.bias) check_contiguous(op, "bias", args.bias, {shape[1]});
    check_contiguous(op, "targets", args.targets, {shape[0]});
    check_contiguous(op, "loss", args.loss, {shape[0]});
    check_contiguous(op, "correct", args.correct, {shape[0]});
    if (args.dbias) check_contiguous(op, "dbias", args.dbias, {shape[1]});
    if (args.dlogits) check_rows(op, "dlogits", args.dlogits, shape);
    LOCUS_CHECK(!args.dlogits || args.dlogits.data == args.logits.data || op.device != Device::cpu, op.name,
                "the processor's gradient takes the place of the logits");
    LOCUS_CHECK(!args.dbias || args.gradient, op.name, "dbias is asked for without the gradient");
}

void check_targets(const CrossEntropy& args, Shape shape) {
    const auto* const targets = args.targets.as<std::int32_t>();
    for (std::int64_t r = 0; r < shape[0]; ++r) {
        if (targets[r] >= 0 && targets[r] < shape[1]) continue;
        throw std::out_of_range("[cross_entropy] target " + std::to_string(targets[r]) + " in row " +
                                std::to_string(r) + " is outside [0, " + std::to_string(shape[1]) + ")");
    }
}

}  // namespace

void cross_entropy(const CrossEntropy& args) {
    const Shape shape = args.logits.shape;
    check_targets(args, shape);
    for_dtype("cross_entropy", args.logits.dtype,
              [&](auto zero) { cross_entropy_of<decltype(zero)>(args, shape[0], shape[1]); });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(cross_entropy, CrossEntropy, logits)
