// AdamW in one pass over parameter, gradient and both moments: what is left is the memory's speed.

#include "kernels/adamw.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "kernels/checks.h"
#include "kernels/for_dtype.h"
#include "kernels/isa.h"
#include "kernels/row_blocks.h"

namespace locus::LOCUS_TARGET {
namespace {

double clip_factor(const AdamW& args) {
    if (args.clip <= 0.0) return 1.0;
    const double norm = std::sqrt(*args.squares.as<double>());
    return norm > args.clip ? args.clip / norm : 1.0;
}

struct Run {
    std::int64_t begin, end;
    bool decays;
};

// Throws when their ends do not rise to the number of parameters.
std::vector<Run> runs_of(const AdamW& args) {
    const std::int64_t n = args.parameter.count();
    if (!args.run_ends) return {{0, n, args.first_run_decays}};
    std::vector<Run> runs;
    std::int64_t begin = 0;
    for (std::int64_t r = 0; r < args.run_ends.count(); ++r) {
        const std::int64_t end = args.run_ends.as<std::int32_t>()[r];
        LOCUS_CHECK(end >= begin && end <= n, "adamw", "run " + std::to_string(r) + " ends at " + std::to_string(end));
        runs.push_back({begin, end, (r % 2 == 0) == args.first_run_decays});
        begin = end;
    }
    LOCUS_CHECK(begin == n, "adamw", "the last run ends at " + std::to_string(begin) + " of " + std::to_string(n));
    return runs;
}

// Powers and quotients of the hyperparameters are taken once and in double: 1 - 0.999^t in float would lose half its digits.
template <class T>
void step(const AdamW& args, const std::vector<Run>& runs) {
    const double correction1 = 1.0 - std::pow(args.beta1, static_cast<double>(args.step));
    const double correction2 = 1.0 - std::pow(args.beta2, static_cast<double>(args.step));
    const T step_size = static_cast<T>(args.learning_rate / correction1);
    const T root_correction = static_cast<T>(1.0 / std::sqrt(correction2));
    const T beta1 = static_cast<T>(args.beta1), rest1 = static_cast<T>(1.0 - args.beta1);
    const T beta2 = static_cast<T>(args.beta2), rest2 = static_cast<T>(1.0 - args.beta2);
    const T epsilon = static_cast<T>(args.epsilon), clip = static_cast<T>(clip_factor(args));
    T *const parameter = args.parameter.as<T>(), *const m = args.m.as<T>(), *const v = args.v.as<T>();
    const T* const gradient = args.gradient.as<T>();
#pragma omp parallel
    for (const Run& run : runs) {
        const T decay = static_cast<T>(1.0 - args.learning_rate * (run.decays ? args.weight_decay : 0.0));
#pragma omp for simd schedule(static) nowait
        for (std::int64_t i = run.begin; i < run.end; ++i) {
            const T g = clip * gradient[i];
            m[i] = beta1 * m[i] + rest1 * g;
            v[i] = beta2 * v[i] + rest2 * g * g;
            const T denominator = std::sqrt(v[i]) * root_correction + epsilon;
            parameter[i] = decay * parameter[i] - step_size * (m[i] / denominator);
        }
    }
}

constexpr std::int64_t block_size = 16384;  // elements

template <class T>
double sum_of_block(const T* x, std::int64_t count) {
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = 0; i < count; ++i) {
        const double value = static_cast<double>(x[i]);
        sum += value * value;
    }
    return sum;
}

void check_scalar(Op op, const char* name, const Tensor& tensor) {
    check_contiguous(op, name, tensor, {1});
    check_dtype(op, name, tensor, DType::float64);
}

[[maybe_unused]] void check(const AdamW& args) {
    const Op op = {"adamw", args.parameter.device};
    const Shape shape = {args.parameter.count()};
    check_contiguous(op, "parameter", args.parameter, shape);
    check_contiguous(op, "gradient", args.gradient, shape);
    check_contiguous(op, "m", args.m, shape);
    check_contiguous(op, "v", args.v, shape);
    if (args.squares) check_scalar(op, "squares", args.squares);
    LOCUS_CHECK(args.squares || args.clip <= 0.0, op.name, "squares is absent, clipping needs it");
    if (args.run_ends) check_contiguous(op, "run_ends", args.run_ends, {args.run_ends.count()});
    if (args.run_ends) check_dtype(op, "run_ends", args.run_ends, DType::int32);
    LOCUS_CHECK(!args.run_ends || args.parameter.count() <= std::numeric_limits<std::int32_t>::max(), op.name,
                std::to_string(args.parameter.count()) + " parameters: runs are counted in 32 bits");
    LOCUS_CHECK(args.step >= 1, op.name, "step is " + std::to_string(args.step) + ", counts from 1");
}

[[maybe_unused]] void check(const SumOfSquares& args) {
    const Op op = {"sum_of_squares", args.x.device};
    check_contiguous(op, "x", args.x, {args.x.count()});
    check_scalar(op, "result", args.result);
}

}  // namespace

void adamw(const AdamW& args) {
    if (args.squares && !std::isfinite(*args.squares.as<double>())) return;
    const std::vector<Run> runs = runs_of(args);
    for_dtype("adamw", args.parameter.dtype, [&](auto zero) { step<decltype(zero)>(args, runs); });
}

void sum_of_squares(const SumOfSquares& args) {
    for_dtype("sum_of_squares", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
        const T* const x = args.x.as<T>();
        const std::int64_t n = args.x.count(), blocks = (n + block_size - 1) / block_size;
        double* const partials = kept_scratch<double>(blocks);
#pragma omp parallel for schedule(static)
        for (std::int64_t block = 0; block < blocks; ++block) {
            const std::int64_t begin = block * block_size;
            partials[block] = sum_of_block(x + begin, std::min(block_size, n - begin));
        }
        double sum = 0.0;
        for (std::int64_t block = 0; block < blocks; ++block) sum += partials[block];
        double& result = *args.result.as<double>();
        if (std::isfinite(result)) result = sum;
    });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(adamw, AdamW, parameter)
LOCUS_KERNEL(sum_of_squares, SumOfSquares, x)
