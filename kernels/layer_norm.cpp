// Layer normalisation with the dropout and the residual addition before it. A row fits in the L1 cache, so the passes over it (sum,
// mean, variance, result) cost memory traffic once.

#include "kernels/layer_norm.h"

#include <cmath>

#include "kernels/checks.h"
#include "kernels/dropout_row.h"
#include "kernels/for_dtype.h"
#include "kernels/isa.h"
#include "kernels/row_blocks.h"

namespace locus::LOCUS_TARGET {
namespace {

// s = dropout(x) + residual for one row; rule is null without dropout, residual null without one.
template <class T>
void add_up(const DropoutRule* rule, std::int32_t sequence, std::int32_t position, const T* x, const T* residual, T* s,
            std::int64_t columns) {
    const T scale = rule == nullptr ? T{1} : static_cast<T>(rule->scale);
    if (rule != nullptr && residual != nullptr) {
        for_dropout_row(*rule, sequence, position, columns, [=](std::int64_t c, bool keep) {
            const T scaled = x[c] * scale;
            s[c] = (keep ? scaled : T{0}) + residual[c];
        });
    } else if (rule != nullptr) {
        for_dropout_row(*rule, sequence, position, columns, [=](std::int64_t c, bool keep) {
            const T scaled = x[c] * scale;
            s[c] = keep ? scaled : T{0};
        });
    } else if (residual != nullptr) {
#pragma omp simd
        for (std::int64_t c = 0; c < columns; ++c) s[c] = x[c] + residual[c];
    } else if (s != x) {
        std::copy_n(x, columns, s);
    }
}

template <class T>
struct Statistics {
    T mean, rstd;
};

template <class T>
Statistics<T> statistics(const T* s, std::int64_t columns, double epsilon) {
    T sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t c = 0; c < columns; ++c) sum += s[c];
    const T mean = sum / static_cast<T>(columns);
    T squares = 0;
#pragma omp simd reduction(+ : squares)
    for (std::int64_t c = 0; c < columns; ++c) squares += (s[c] - mean) * (s[c] - mean);
    // In double, so that an epsilon below float's precision keeps its meaning when the variance is 0.
    const double variance = static_cast<double>(squares) / static_cast<double>(columns);
    return {mean, static_cast<T>(1.0 / std::sqrt(variance + epsilon))};
}

template <class T>
void forward(const LayerNormForward& args, std::int64_t rows, std::int64_t columns) {
    const DropoutRule rule = dropout_rule("layer_norm", args.dropout);
    const bool drops = static_cast<bool>(args.dropout);
    const std::int32_t* const sequence = drops ? args.rows.sequence.as<std::int32_t>() : nullptr;
    const std::int32_t* const position = drops ? args.rows.position.as<std::int32_t>() : nullptr;
    const T *const x = args.x.as<T>(), *const gamma = args.gamma.as<T>(), *const beta = args.beta.as<T>();
    const T* const residual = args.residual ? args.residual.as<T>() : nullptr;
    T *const sum = args.sum.as<T>(), *const y = args.y.as<T>(), *const mean = args.mean.as<T>(),
             *const rstd = args.rstd.as<T>();
#pragma omp parallel for schedule(static)
    for (std::int64_t r = 0; r < rows; ++r) {
        T* const s = sum + r * columns;
        T* const y_row = y + r * columns;
        add_up<T>(drops ? &rule : nullptr, drops ? sequence[r] : 0, drops ? position[r] : 0, x + r * columns,
                  residual == nullptr ? nullptr : residual + r * columns, s, columns);
        const Statistics<T> row = statistics(s, columns, args.epsilon);
        mean[r] = row.mean;
        rstd[r] = row.rstd;
#pragma omp simd
        for (std::int64_t c = 0; c < columns; ++c) y_row[c] = gamma[c] * ((s[c] - row.mean) * row.rstd) + beta[c];
    }
}

// What one row of the backward pass reads and writes.
template <class T>
struct BackwardRow {
    const T *dy, *s;
    T mean, rstd;
    T *dx, *dresidual;  // dresidual may be null
};

// ds = rstd (g - mean(g) - xhat mean(g xhat)) = rstd g - xhat a - b
template <class T>
struct RowGradient {
    T a, b;
};

template <class T>
RowGradient<T> reduce_row(const BackwardRow<T>& row, const T* gamma, std::int64_t columns, T* dgamma, T* dbeta) {
    // Locals, so that the stores cannot change them: else nothing vectorises.
    const T *const s = row.s, *const dy = row.dy, mean = row.mean, rstd = row.rstd;
    T sum = 0, product = 0;
#pragma omp simd reduction(+ : sum, product)
    for (std::int64_t c = 0; c < columns; ++c) {
        const T xhat = (s[c] - mean) * rstd;
        const T g = gamma[c] * dy[c];
        sum += g;
        product += g * xhat;
        dgamma[c] += dy[c] * xhat;
        dbeta[c] += dy[c];
    }
    const T over_columns = rstd / static_cast<T>(columns);
    return {product * over_columns, sum * over_columns};
}

// What becomes of a gradient; compiled apart, so that the loops have no branch.
enum class Write { nothing, overwrite, add };

template <Write write, class T>
void store(T* to, T value) {
    if constexpr (write == Write::overwrite) *to = value;
    if constexpr (write == Write::add) *to += value;
}

template <class T, Write to_dx, Write to_dresidual>
void write_row(const BackwardRow<T>& row, const T* gamma, RowGradient<T> gradient, const DropoutRule* rule,
               std::int32_t sequence, std::int32_t position, std::int64_t columns) {
    const T scale = rule == nullptr ? T{1} : static_cast<T>(rule->scale);
    const auto element = [=](std::int64_t c, bool keep) {
        const T xhat = (row.s[c] - row.mean) * row.rstd;
        const T ds = row.rstd * gamma[c] * row.dy[c] - gradient.b - xhat * gradient.a;
        const T scaled = ds * scale;
        if constexpr (to_dresidual != Write::nothing) store<to_dresidual>(row.dresidual + c, ds);
        store<to_dx>(row.dx + c, keep ? scaled : T{0});
    };
    if (rule != nullptr) {
        for_dropout_row(*rule, sequence, position, columns, element);
    } else {
#pragma omp simd
        for (std::int64_t c = 0; c < columns; ++c) element(c, true);
    }
}

template <class T, Write to_dx, Write to_dresidual>
void backward(const LayerNormBackward& args, std::int64_t rows, std::int64_t columns) {
    const DropoutRule rule = dropout_rule("layer_norm", args.dropout);
    const bool drops = static_cast<bool>(args.dropout);
    const std::int32_t* const sequence = drops ? args.rows.sequence.as<std::int32_t>() : nullptr;
    const std::int32_t* const position = drops ? args.rows.position.as<std::int32_t>() : nullptr;
    const T *const dy = args.dy.as<T>(), *const sum = args.sum.as<T>(), *const gamma = args.gamma.as<T>();
    const T *const mean = args.mean.as<T>(), *const rstd = args.rstd.as<T>();
    T *const dx = args.dx.as<T>(), *const dresidual = args.dresidual ? args.dresidual.as<T>() : nullptr;
    T *const dgamma = args.dgamma.as<T>(), *const dbeta = args.dbeta.as<T>();
    sum_row_blocks<T>(
        rows, 2 * columns,
        [&](std::int64_t begin, std::int64_t end, T* partial) {
            for (std::int64_t r = begin; r < end; ++r) {
                const std::int64_t at = r * columns;
                const BackwardRow<T> row = {dy + at, sum + at,
                                            mean[r], rstd[r],
                                            dx + at, to_dresidual == Write::nothing ? nullptr : dresidual + at};
                const RowGradient<T> gradient = reduce_row(row, gamma, columns, partial, partial + columns);
                write_row<T, to_dx, to_dresidual>(row, gamma, gradient, drops ? &rule : nullptr,
                                                  drops ? sequence[r] : 0, drops ? position[r] : 0, columns);
            }
        },
        [=](std::int64_t c, T total) { (c < columns ? dgamma[c] : dbeta[c - columns]) += total; });
}

template <class T, Write to_dx>
void backward_to(const LayerNormBackward& args, std::int64_t rows, std::int64_t columns) {
    if (!args.dresidual) return backward<T, to_dx, Write::nothing>(args, rows, columns);
    if (args.accumulate_dresidual) return backward<T, to_dx, Write::add>(args, rows, columns);
    return backward<T, to_dx, Write::overwrite>(args, rows, columns);
}

[[maybe_unused]] void check(const LayerNormForward& args) {
    const Op op = {"layer_norm", args.x.device};
    const Shape shape = matrix_shape(op, "x", args.x);
    check_contiguous(op, "x", args.x, shape);
    if (args.residual) check_contiguous(op, "residual", args.residual, shape);
    check_contiguous(op, "gamma", args.gamma, {shape[1]});
    check_contiguous(op, "beta", args.beta, {shape[1]});
    check_contiguous(op, "sum", args.sum, shape);
    check_contiguous(op, "y", args.y, shape);
    check_contiguous(op, "mean", args.mean, {shape[0]});
    check_contiguous(op, "rstd", args.rstd, {shape[0]});
    if (args.dropout) check_dropout_rows(op, args.rows, shape[0]);
}

[[maybe_unused]] void check(const LayerNormBackward& args) {
    const Op op = {"layer_norm", args.dy.device};
    const Shape shape = matrix_shape(op, "dy", args.dy);
    check_contiguous(op, "dy", args.dy, shape);
    check_contiguous(op, "sum", args.sum, shape);
    check_contiguous(op, "gamma", args.gamma, {shape[1]});
    check_contiguous(op, "mean", args.mean, {shape[0]});
    check_contiguous(op, "rstd", args.rstd, {shape[0]});
    check_contiguous(op, "dx", args.dx, shape);
    if (args.dresidual) check_contiguous(op, "dresidual", args.dresidual, shape);
    check_contiguous(op, "dgamma", args.dgamma, {shape[1]});
    check_contiguous(op, "dbeta", args.dbeta, {shape[1]});
    if (args.dropout) check_dropout_rows(op, args.rows, shape[0]);
}

}  // namespace

void layer_norm_forward(const LayerNormForward& args) {
    const Shape shape = args.x.shape;
    for_dtype("layer_norm", args.x.dtype, [&](auto zero) { forward<decltype(zero)>(args, shape[0], shape[1]); });
}

void layer_norm_backward(const LayerNormBackward& args) {
    const Shape shape = args.dy.shape;
    for_dtype("layer_norm", args.dy.dtype, [&](auto zero) {
        using T = decltype(zero);
        if (args.accumulate_dx) return backward_to<T, Write::add>(args, shape[0], shape[1]);
        return backward_to<T, Write::overwrite>(args, shape[0], shape[1]);
    });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(layer_norm_forward, LayerNormForward, x)
LOCUS_KERNEL(layer_norm_backward, LayerNormBackward, dy)
