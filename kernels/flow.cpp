// The products are of a matrix and one vector: rows of the matrix against the vector, spread over the threads when there is enough to spread.

#include "kernels/flow.h"

#include <algorithm>
#include <cstring>

#include "kernels/checks.h"
#include "kernels/column_sum.h"
#include "kernels/flow_stages.h"
#include "kernels/for_dtype.h"
#include "kernels/isa.h"
#include "kernels/matmul.h"
#include "kernels/transpose.h"
#include "kernels/vector_math.h"

namespace locus::LOCUS_TARGET {
namespace {

// y = M x, plus y itself when `accumulate`.
template <class T>
void product(const Tensor& matrix, const T* x, T* y, bool accumulate) {
    constexpr std::int64_t enough = 1 << 17;
    const std::int64_t rows = matrix.shape[0], columns = matrix.shape[1];
    const T* const values = matrix.as<T>();
#pragma omp parallel for schedule(static) if (rows * columns > enough)
    for (std::int64_t r = 0; r < rows; ++r) {
        const T* const row = values + r * columns;
        T sum = 0;
#pragma omp simd reduction(+ : sum)
        for (std::int64_t c = 0; c < columns; ++c) sum += row[c] * x[c];
        y[r] = accumulate ? y[r] + sum : sum;
    }
}

// tanh = tanh(W1 asked + w t + b1),  k = W2 tanh + b2
template <class T>
void evaluate(const FlowNetwork& network, const T* asked, double t, T* tanh, T* k) {
    const std::int64_t width = network.in_bias.count();
    const T* const time = network.time_weight ? network.time_weight.as<T>() : nullptr;
    std::copy_n(network.in_bias.as<T>(), width, tanh);
    if (time != nullptr) {
        for (std::int64_t m = 0; m < width; ++m) tanh[m] += static_cast<T>(t) * time[m];
    }
    product(network.in_weight, asked, tanh, true);
#pragma omp simd
    for (std::int64_t m = 0; m < width; ++m) tanh[m] = vector_tanh(tanh[m]);
    std::copy_n(network.out_bias.as<T>(), network.out_bias.count(), k);
    product(network.out_weight, tanh, k, true);
}

template <class T>
void forward(const FlowForward& args) {
    const std::int64_t columns = args.points.shape[1], width = args.tanh.shape[1], steps = args.steps.steps;
    const Stages stages = stages_of(args.steps.solver);
    const double h = args.steps.interval / static_cast<double>(steps);
    const Tensor scratch = args.arena->tensor({2, columns}, args.points.dtype);
    T *const k = scratch.as<T>(), *const now = k + columns, *points = args.points.as<T>();
    T *asked = args.asked.as<T>(), *tanh = args.tanh.as<T>();
    std::copy_n(args.start.as<T>(), columns, points);
    std::copy_n(points, columns, now);
    for (std::int64_t step = 0; step < (args.points.shape[0] - 1) * steps; ++step) {
        T* const next = points + columns;  // where the sum grows, in place of the point it will be
        std::copy_n(now, columns, next);
        for (std::int64_t s = 0; s < stages.count; ++s, asked += columns, tanh += width) {
            const auto stage = static_cast<std::size_t>(s);
            const T reach = static_cast<T>(stages.place[stage] * h), part = static_cast<T>(stages.weight[stage] * h);
            for (std::int64_t c = 0; c < columns; ++c) asked[c] = s == 0 ? now[c] : now[c] + reach * k[c];
            evaluate(args.network, asked, (static_cast<double>(step) + stages.place[stage]) * h, tanh, k);
            for (std::int64_t c = 0; c < columns; ++c) next[c] += part * k[c];
        }
        std::copy_n(next, columns, now);
        if ((step + 1) % steps == 0) points = next;
    }
    args.arena->give_back(scratch.data);
}

// What the way back needs: transposed weights, and for every evaluation the gradients of k and of what went into the tanh.
struct Scratch {
    Tensor in_weight, out_weight, dk, dinner, times, du;
};

// dpoint: the gradient of the point after the step on entry, of the one before on return.
template <class T>
void step_backward(const FlowBackward& args, const Scratch& scratch, const Stages& stages, std::int64_t step, double h,
                   T* dpoint) {
    const std::int64_t columns = args.dpoints.shape[1], width = args.tanh.shape[1];
    T *const du = scratch.du.as<T>(), *const after = du + columns;
    std::copy_n(dpoint, columns, after);
    for (std::int64_t s = stages.count - 1; s >= 0; --s) {
        const auto stage = static_cast<std::size_t>(s);
        const std::int64_t e = step * stages.count + s;
        const T part = static_cast<T>(stages.weight[stage] * h);
        const T reach = s + 1 < stages.count ? static_cast<T>(stages.place[stage + 1] * h) : T(0);
        T *const dk = scratch.dk.as<T>() + e * columns, *const dinner = scratch.dinner.as<T>() + e * width;
        const T* const tanh = args.tanh.as<T>() + e * width;
        for (std::int64_t c = 0; c < columns; ++c) dk[c] = part * after[c] + (reach == T(0) ? T(0) : reach * du[c]);
        product(scratch.out_weight, dk, dinner, false);
        for (std::int64_t m = 0; m < width; ++m) dinner[m] *= T(1) - tanh[m] * tanh[m];
        product(scratch.in_weight, dinner, du, false);
        for (std::int64_t c = 0; c < columns; ++c) dpoint[c] += du[c];
        scratch.times.as<T>()[e] = static_cast<T>((static_cast<double>(step) + stages.place[stage]) * h);
    }
}

// The weights' gradients, of all evaluations at once.
void add_network_gradients(const FlowBackward& args, const Scratch& scratch) {
    const FlowNetwork& d = args.dnetwork;
    const auto add_product = [](const Tensor& a, const Tensor& b, const Tensor& c) {
        matmul({.a = a, .b = b, .c = c, .transpose_a = true, .accumulate = true});
    };
    add_product(scratch.dinner, args.asked, d.in_weight);
    add_product(scratch.dk, args.tanh, d.out_weight);
    column_sum({.x = scratch.dinner, .sum = d.in_bias});
    column_sum({.x = scratch.dk, .sum = d.out_bias});
    if (d.time_weight) add_product(scratch.dinner, scratch.times, d.time_weight.reshape({d.time_weight.count(), 1}));
}

template <class T>
void backward(const FlowBackward& args) {
    const std::int64_t points = args.dpoints.shape[0], columns = args.dpoints.shape[1];
    const std::int64_t width = args.tanh.shape[1], evaluations = args.asked.shape[0], steps = args.steps.steps;
    const Stages stages = stages_of(args.steps.solver);
    const double h = args.steps.interval / static_cast<double>(steps);
    const auto take = [&](Shape shape) { return args.arena->tensor(shape, args.dpoints.dtype); };
    const Scratch scratch = {take({columns, width}),     take({width, columns}), take({evaluations, columns}),
                             take({evaluations, width}), take({evaluations, 1}), take({2, columns})};
    transpose({.x = args.network.in_weight, .y = scratch.in_weight});
    transpose({.x = args.network.out_weight, .y = scratch.out_weight});
    const Tensor dpoint = take({columns});
    T* const d = dpoint.as<T>();
    std::fill_n(d, columns, T(0));
    for (std::int64_t n = points - 1; n >= 0; --n) {
        const T* const of = args.dpoints.as<T>() + n * columns;
        for (std::int64_t c = 0; c < columns; ++c) d[c] += of[c];
        for (std::int64_t step = n * steps - 1; step >= (n - 1) * steps && step >= 0; --step)
            step_backward(args, scratch, stages, step, h, d);
    }
    for (std::int64_t c = 0; c < columns; ++c) args.dstart.as<T>()[c] += d[c];
    if (evaluations > 0) add_network_gradients(args, scratch);
    for (const Tensor& tensor :
         {dpoint, scratch.du, scratch.times, scratch.dinner, scratch.dk, scratch.out_weight, scratch.in_weight})
        args.arena->give_back(tensor.data);
}

void check(Op op, const FlowNetwork& network, const FlowSteps& steps, const Tensor& points, const Tensor& asked,
           const Tensor& tanh) {
    const Shape shape = matrix_shape(op, "points", points);
    const std::int64_t columns = shape[1], width = matrix_shape(op, "in_weight", network.in_weight)[0];
    LOCUS_CHECK(shape[0] >= 1 && steps.steps >= 1, op.name, "there must be a point and a step");
    check_contiguous(op, "points", points, shape);
    check_contiguous(op, "in_weight", network.in_weight, {width, columns});
    if (network.time_weight) check_contiguous(op, "time_weight", network.time_weight, {width});
    check_contiguous(op, "in_bias", network.in_bias, {width});
    check_contiguous(op, "out_weight", network.out_weight, {columns, width});
    check_contiguous(op, "out_bias", network.out_bias, {columns});
    check_contiguous(op, "asked", asked, {steps.evaluations(shape[0]), columns});
    check_contiguous(op, "tanh", tanh, {steps.evaluations(shape[0]), width});
}

[[maybe_unused]] void check(const FlowForward& args) {
    const Op op = {"flow", args.start.device};
    check(op, args.network, args.steps, args.points, args.asked, args.tanh);
    check_contiguous(op, "start", args.start, {args.points.shape[1]});
    LOCUS_CHECK(args.arena != nullptr, op.name, "arena is absent");
}

[[maybe_unused]] void check(const FlowBackward& args) {
    const Op op = {"flow_backward", args.dpoints.device};
    check(op, args.network, args.steps, args.dpoints, args.asked, args.tanh);
    check(op, args.dnetwork, args.steps, args.dpoints, args.asked, args.tanh);
    check_contiguous(op, "dstart", args.dstart, {args.dpoints.shape[1]});
    LOCUS_CHECK(args.arena != nullptr, op.name, "arena is absent");
}

}  // namespace

void flow_forward(const FlowForward& args) {
    for_dtype("flow", args.points.dtype, [&](auto zero) { forward<decltype(zero)>(args); });
}

void flow_backward(const FlowBackward& args) {
    for_dtype("flow_backward", args.dpoints.dtype, [&](auto zero) { backward<decltype(zero)>(args); });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(flow_forward, FlowForward, start)
LOCUS_KERNEL(flow_backward, FlowBackward, dpoints)
