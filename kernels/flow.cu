// A point carried along by a network on a GPU. One evaluation follows the other, and each is two products of a matrix and one vector: two kernels that
// use the whole device, with a warp for each row of the matrix, launched from a loop of the host. Formula, shapes and saved: flow.h.
//
// backward   the same two products with the transposed matrices, then the weights' gradients from all evaluations at once
// bytes      8 C m per evaluation, from the cache where the matrices fit in there
// flop       4 C m per evaluation, backward twice that
// bound      latency: two launches follow each other for each evaluation. Matrices of a million numbers take about as long to read, 2 us at 4.8 TB/s

#include "kernels/flow.h"

#include "kernels/column_sum.h"
#include "kernels/device.h"
#include "kernels/flow_stages.h"
#include "kernels/gpu_column_sum.h"
#include "kernels/gpu_dot.h"
#include "kernels/matmul.h"
#include "kernels/transpose.h"

namespace locus::LOCUS_TARGET {
namespace {

// ---- forward ----

// asked = now + reach k,  tanh = tanh(W1 asked + w t + b1)
struct Inner {
    const float *weight, *time_weight, *bias;  // W1, w or nullptr, b1
    const float *now, *k;                      // k: nullptr in a step's first stage
    float reach, time;
    float *asked, *tanh;
    std::int64_t columns, width;
};

__global__ void flow_inner_kernel(Inner f) {
    const std::int64_t m = warp_in_grid();
    if (m >= f.width) return;
    float sum = 0;
    for (std::int64_t c = lane_in_warp(); c < f.columns; c += warp_size) {
        const float asked = f.k == nullptr ? f.now[c] : f.now[c] + f.reach * f.k[c];
        if (m == 0) f.asked[c] = asked;
        sum += f.weight[m * f.columns + c] * asked;
    }
    sum = warp_sum(sum) + f.bias[m];
    if (f.time_weight != nullptr) sum += f.time * f.time_weight[m];
    if (lane_in_warp() == 0) f.tanh[m] = tanhf(sum);
}

// k = W2 tanh + b2,  next = so_far + part k
struct Outer {
    const float *weight, *bias, *tanh;  // W2, b2
    const float* so_far;                // may be next
    float part;
    float *k, *next;
    std::int64_t columns, width;
};

__global__ void flow_outer_kernel(Outer f) {
    const std::int64_t c = warp_in_grid();
    if (c >= f.columns) return;
    const float k = warp_dot(f.weight + c * f.width, f.tanh, f.width) + f.bias[c];
    if (lane_in_warp() > 0) return;
    f.k[c] = k;
    f.next[c] = f.so_far[c] + f.part * k;
}

// One step from `now` to `next`, which may be the same point.
void step_forward(const FlowForward& args, std::int64_t step, const float* now, float* next, float* k) {
    const std::int64_t columns = args.points.shape[1], width = args.tanh.shape[1];
    const Stages stages = stages_of(args.steps.solver);
    const double h = args.steps.interval / static_cast<double>(args.steps.steps);
    float* const first_asked = args.asked.as<float>() + step * stages.count * columns;  // a copy of `now`
    for (std::int64_t s = 0; s < stages.count; ++s) {
        const auto stage = static_cast<std::size_t>(s);
        float* const tanh = args.tanh.as<float>() + (step * stages.count + s) * width;
        const Inner inner = {.weight = args.network.in_weight.as<float>(),
                             .time_weight = args.network.time_weight ? args.network.time_weight.as<float>() : nullptr,
                             .bias = args.network.in_bias.as<float>(),
                             .now = s == 0 ? now : first_asked,
                             .k = s == 0 ? nullptr : k,
                             .reach = static_cast<float>(stages.place[stage] * h),
                             .time = static_cast<float>((static_cast<double>(step) + stages.place[stage]) * h),
                             .asked = first_asked + s * columns,
                             .tanh = tanh,
                             .columns = columns,
                             .width = width};
        launch(one_warp_each("flow", width), flow_inner_kernel, inner);
        const Outer outer = {.weight = args.network.out_weight.as<float>(),
                             .bias = args.network.out_bias.as<float>(),
                             .tanh = tanh,
                             .so_far = s == 0 ? now : next,
                             .part = static_cast<float>(stages.weight[stage] * h),
                             .k = k,
                             .next = next,
                             .columns = columns,
                             .width = width};
        launch(one_warp_each("flow", columns), flow_outer_kernel, outer);
    }
}

// ---- backward ----

// dk = part after + reach du,  dinner = (1 - tanh^2) W2^T dk
struct InnerGradient {
    const float *transposed, *tanh;  // W2^T
    const float *after, *du;         // du: nullptr in a step's last stage
    float part, reach;
    float *dk, *dinner;
    std::int64_t columns, width;
};

__global__ void flow_inner_gradient_kernel(InnerGradient b) {
    const std::int64_t m = warp_in_grid();
    if (m >= b.width) return;
    float sum = 0;
    for (std::int64_t c = lane_in_warp(); c < b.columns; c += warp_size) {
        const float dk = b.part * b.after[c] + (b.du == nullptr ? 0.0F : b.reach * b.du[c]);
        if (m == 0) b.dk[c] = dk;
        sum += b.transposed[m * b.columns + c] * dk;
    }
    sum = warp_sum(sum);
    if (lane_in_warp() == 0) b.dinner[m] = sum * (1 - b.tanh[m] * b.tanh[m]);
}

// du = W1^T dinner,  before = so_far + du [+ dpoint]
struct OuterGradient {
    const float *transposed, *dinner;  // W1^T
    const float *so_far, *dpoint;      // so_far may be before; dpoint: nullptr where no point stands
    float *du, *before;
    std::int64_t columns, width;
};

__global__ void flow_outer_gradient_kernel(OuterGradient b) {
    const std::int64_t c = warp_in_grid();
    if (c >= b.columns) return;
    const float du = warp_dot(b.transposed + c * b.width, b.dinner, b.width);
    if (lane_in_warp() > 0) return;
    b.du[c] = du;
    b.before[c] = b.so_far[c] + du + (b.dpoint == nullptr ? 0.0F : b.dpoint[c]);
}

// Transposed weights, the gradients of all evaluations, the last du, and two gradients of points that take turns.
struct WayBack {
    Tensor in_weight, out_weight, dk, dinner, du, dpoints;
};

// after, before: the gradients of the points after the step and before it.
void step_backward(const FlowBackward& args, const WayBack& way, std::int64_t step, const float* after, float* before) {
    const std::int64_t columns = args.dpoints.shape[1], width = args.tanh.shape[1], steps = args.steps.steps;
    const Stages stages = stages_of(args.steps.solver);
    const double h = args.steps.interval / static_cast<double>(steps);
    for (std::int64_t s = stages.count - 1; s >= 0; --s) {
        const auto stage = static_cast<std::size_t>(s);
        const bool is_last = s + 1 == stages.count, at_point = s == 0 && step % steps == 0;
        const std::int64_t e = step * stages.count + s;
        float* const dinner = way.dinner.as<float>() + e * width;
        const InnerGradient inner = {.transposed = way.out_weight.as<float>(),
                                     .tanh = args.tanh.as<float>() + e * width,
                                     .after = after,
                                     .du = is_last ? nullptr : way.du.as<float>(),
                                     .part = static_cast<float>(stages.weight[stage] * h),
                                     .reach = is_last ? 0.0F : static_cast<float>(stages.place[stage + 1] * h),
                                     .dk = way.dk.as<float>() + e * columns,
                                     .dinner = dinner,
                                     .columns = columns,
                                     .width = width};
        launch(one_warp_each("flow_backward", width), flow_inner_gradient_kernel, inner);
        const OuterGradient outer = {.transposed = way.in_weight.as<float>(),
                                     .dinner = dinner,
                                     .so_far = is_last ? after : before,
                                     .dpoint = at_point ? args.dpoints.as<float>() + step / steps * columns : nullptr,
                                     .du = way.du.as<float>(),
                                     .before = before,
                                     .columns = columns,
                                     .width = width};
        launch(one_warp_each("flow_backward", columns), flow_outer_gradient_kernel, outer);
    }
}

// dinner and dinner t of each evaluation: what the gradients of b1 and w are sums of.
struct TimeTerm {
    const float* dinner;
    std::int64_t width;
    Stages stages;
    double h;

    __device__ Summands<2> operator()(std::int64_t e, std::int64_t m) const {
        const double place = stages.place[static_cast<std::size_t>(e % stages.count)];
        const double time = (static_cast<double>(e / stages.count) + place) * h;
        const float d = dinner[e * width + m];
        return {{d, d * static_cast<float>(time)}};
    }
};

void add_network_gradients(const FlowBackward& args, const WayBack& way) {
    const FlowNetwork& d = args.dnetwork;
    matmul({.a = way.dinner, .b = args.asked, .c = d.in_weight, .transpose_a = true, .accumulate = true});
    matmul({.a = way.dk, .b = args.tanh, .c = d.out_weight, .transpose_a = true, .accumulate = true});
    column_sum({.x = way.dk, .sum = d.out_bias});
    const std::int64_t width = args.tanh.shape[1];
    const TimeTerm term = {way.dinner.as<float>(), width, stages_of(args.steps.solver),
                           args.steps.interval / static_cast<double>(args.steps.steps)};
    add_column_sums<2>("flow_backward", term, args.tanh.shape[0], width,
                       {{d.in_bias.as<float>(), d.time_weight ? d.time_weight.as<float>() : nullptr}});
}

}  // namespace

void flow_forward(const FlowForward& args) {
    const std::int64_t columns = args.points.shape[1], points = args.points.shape[0], steps = args.steps.steps;
    const Tensor k = args.arena->tensor({columns}, DType::float32);
    copy(args.start.reshape({1, columns}), args.points.slice(0, 0, 1));
    for (std::int64_t step = 0; step < (points - 1) * steps; ++step) {
        float *const point = args.points.as<float>() + step / steps * columns, *const next = point + columns;
        step_forward(args, step, step % steps == 0 ? point : next, next, k.as<float>());
    }
    args.arena->give_back(k.data);
}

void flow_backward(const FlowBackward& args) {
    const std::int64_t columns = args.dpoints.shape[1], points = args.dpoints.shape[0], steps = args.steps.steps;
    const std::int64_t width = args.tanh.shape[1], evaluations = args.asked.shape[0];
    const auto take = [&](Shape shape) { return args.arena->tensor(shape, DType::float32); };
    const WayBack way = {take({columns, width}),     take({width, columns}), take({evaluations, columns}),
                         take({evaluations, width}), take({1, columns}),     take({2, columns})};
    transpose({.x = args.network.in_weight, .y = way.in_weight});
    transpose({.x = args.network.out_weight, .y = way.out_weight});
    Tensor dpoint = args.dpoints.slice(0, points - 1, points);
    for (std::int64_t step = (points - 1) * steps - 1; step >= 0; --step) {
        const Tensor before = way.dpoints.slice(0, step % 2, step % 2 + 1);
        step_backward(args, way, step, dpoint.as<float>(), before.as<float>());
        dpoint = before;
    }
    column_sum({.x = dpoint, .sum = args.dstart});
    if (evaluations > 0) add_network_gradients(args, way);
    for (const Tensor& tensor : {way.dpoints, way.du, way.dinner, way.dk, way.out_weight, way.in_weight})
        args.arena->give_back(tensor.data);
}

}  // namespace locus::LOCUS_TARGET
