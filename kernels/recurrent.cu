// A recurrent net on a GPU: a block of threads for each sequence, which walks along its tokens with the state in shared memory. Sequences wait for
// nobody but themselves, so nothing is packed and the host does not take part. Formula, shapes and sources: recurrent.h.
//
//   forward    per step  U h + b, a warp for each gate output; then the gates, a thread for each number of the state
//   backward   per step  the gates, then U^T g in the same way, with U transposed beforehand; after the last one the products and sums over all rows
//
// saved    before, gates and memory by row of the batch, not by time
// bytes    every step reads U, 4 G H^2 bytes, again from the cache that all blocks share
// flop     2 G H^2 per row forward, 4 G H^2 backward
// bound    by the cache, half a flop per byte, as the steps follow each other: H = 256 and G = 4 are 1 MB per step, some 20 us for one multiprocessor

#include "kernels/recurrent.h"

#include "kernels/column_sum.h"
#include "kernels/gpu_dot.h"
#include "kernels/gpu_sequences.h"
#include "kernels/matmul.h"
#include "kernels/transpose.h"

namespace locus::LOCUS_TARGET {
namespace {

constexpr unsigned max_threads = 1024;

__device__ float logistic(float x) { return 1.0F / (1.0F + expf(-x)); }

// y = M x + add, by the warps of a block. y may be add.
__device__ void product(const float* matrix, std::int64_t rows, std::int64_t columns, const float* x, const float* add,
                        float* y) {
    for (std::int64_t r = threadIdx.x / warp_size; r < rows; r += blockDim.x / warp_size) {
        const float sum = warp_dot(matrix + r * columns, x, columns);
        if (lane_in_warp() == 0) y[r] = add[r] + sum;
    }
}

// ---- forward ----

// One number of a state and what the step reads and writes for it; gate n of it is `states` numbers behind gate n - 1.
struct StepOfNumber {
    const float *x, *inner;       // inner: U h + b
    float before, memory_before;  // memory_before: 0 at the first step
    float *gates, *memory;
    std::int64_t states;
};

__device__ float tanh_step(const StepOfNumber& at) { return at.gates[0] = tanhf(at.x[0] + at.inner[0]); }

__device__ float gru_step(const StepOfNumber& at) {
    const std::int64_t next = at.states;
    const float r = logistic(at.x[0] + at.inner[0]), z = logistic(at.x[next] + at.inner[next]);
    const float inner = at.inner[2 * next], n = tanhf(at.x[2 * next] + r * inner);
    at.gates[0] = r;
    at.gates[next] = z;
    at.gates[2 * next] = n;
    *at.memory = inner;
    return n + z * (at.before - n);
}

__device__ float lstm_step(const StepOfNumber& at) {
    const std::int64_t next = at.states;
    const float i = logistic(at.x[0] + at.inner[0]), f = logistic(at.x[next] + at.inner[next]);
    const float g = tanhf(at.x[2 * next] + at.inner[2 * next]), o = logistic(at.x[3 * next] + at.inner[3 * next]);
    at.gates[0] = i;
    at.gates[next] = f;
    at.gates[2 * next] = g;
    at.gates[3 * next] = o;
    const float memory = i * g + f * at.memory_before;
    *at.memory = memory;
    return o * tanhf(memory);
}

struct Forward {
    Cell cell;
    Sequences sequences;
    bool reverse;
    const float *x, *weight, *bias, *start;  // start: nullptr for zeros
    std::int64_t x_stride, h_stride, states, width;
    float *h, *before, *gates, *memory;
};

__device__ float step_forward(const Forward& f, SequenceRows rows, std::int64_t t, std::int64_t c, const float* inner,
                              float before) {
    const std::int64_t r = rows.row(t, f.reverse);
    const bool remembers = f.cell == Cell::lstm && t > 0;
    f.before[r * f.states + c] = before;
    const StepOfNumber at = {f.x + r * f.x_stride + c,
                             inner + c,
                             before,
                             remembers ? f.memory[rows.row(t - 1, f.reverse) * f.states + c] : 0.0F,
                             f.gates + r * f.width + c,
                             f.memory + r * f.states + c,
                             f.states};
    const float h = f.cell == Cell::tanh ? tanh_step(at) : f.cell == Cell::gru ? gru_step(at) : lstm_step(at);
    f.h[r * f.h_stride + c] = h;
    return h;
}

__global__ void __launch_bounds__(max_threads) recurrent_forward_kernel(Forward f) {
    float *const h = shared_memory<float>(), *const inner = h + f.states;  // [states], [width]
    const SequenceRows rows = f.sequences[blockIdx.x];
    for (std::int64_t c = threadIdx.x; c < f.states; c += blockDim.x) h[c] = f.start == nullptr ? 0.0F : f.start[c];
    __syncthreads();
    for (std::int64_t t = 0; t < rows.length(); ++t) {
        product(f.weight, f.width, f.states, h, f.bias, inner);
        __syncthreads();
        for (std::int64_t c = threadIdx.x; c < f.states; c += blockDim.x)
            h[c] = step_forward(f, rows, t, c, inner, h[c]);
        __syncthreads();
    }
}

// ---- backward ----

// One number on the way back. dh: what dy and later steps say about this state. gates: after their functions on entry, the gradient before them on
// return; the step returns the direct part of what it says about the state before.
struct GradientOfNumber {
    float dh, before, memory, memory_before;
    float *gates, *dx, *dmemory;  // dmemory: an lstm's, of this step on entry and of the one before on return
    std::int64_t states;
    bool accumulate;

    __device__ void put(std::int64_t gate, float value) const {
        float* const to = dx + gate * states;
        *to = accumulate ? *to + value : value;
    }
};

__device__ float tanh_step_backward(const GradientOfNumber& at) {
    const float d = at.dh * (1 - at.gates[0] * at.gates[0]);
    at.gates[0] = d;
    at.put(0, d);
    return 0;
}

__device__ float gru_step_backward(const GradientOfNumber& at) {
    const std::int64_t next = at.states;
    const float r = at.gates[0], z = at.gates[next], n = at.gates[2 * next], inner = at.memory;
    const float dn = at.dh * (1 - z) * (1 - n * n), dz = at.dh * (at.before - n) * z * (1 - z);
    const float dr = dn * inner * r * (1 - r);
    at.gates[0] = dr;
    at.gates[next] = dz;
    at.gates[2 * next] = dn * r;
    at.put(0, dr);
    at.put(1, dz);
    at.put(2, dn);
    return at.dh * z;
}

__device__ float lstm_step_backward(const GradientOfNumber& at) {
    const std::int64_t next = at.states;
    const float i = at.gates[0], f = at.gates[next], g = at.gates[2 * next], o = at.gates[3 * next];
    const float bent = tanhf(at.memory), dc = *at.dmemory + at.dh * o * (1 - bent * bent);
    const float of_gate[4] = {dc * g * i * (1 - i), dc * at.memory_before * f * (1 - f), dc * i * (1 - g * g),
                              at.dh * bent * o * (1 - o)};
    for (int gate = 0; gate < 4; ++gate) {
        at.gates[gate * next] = of_gate[gate];
        at.put(gate, of_gate[gate]);
    }
    *at.dmemory = dc * f;
    return 0;
}

struct Backward {
    Cell cell;
    Sequences sequences;
    bool reverse, accumulate;
    const float *dy, *transposed;  // transposed: U^T [H, G H]
    const float *before, *memory;
    std::int64_t dy_stride, dx_stride, states, width;
    float *gates, *dx;
    float* dh;  // [sequences, H], of the states before the first steps
};

__device__ float step_backward(const Backward& b, SequenceRows rows, std::int64_t t, std::int64_t c, float later,
                               float* dmemory) {
    const std::int64_t r = rows.row(t, b.reverse);
    const bool uses_memory = b.cell != Cell::tanh, remembers = b.cell == Cell::lstm && t > 0;
    const GradientOfNumber at = {b.dy[r * b.dy_stride + c] + later,
                                 b.before[r * b.states + c],
                                 uses_memory ? b.memory[r * b.states + c] : 0.0F,
                                 remembers ? b.memory[rows.row(t - 1, b.reverse) * b.states + c] : 0.0F,
                                 b.gates + r * b.width + c,
                                 b.dx + r * b.dx_stride + c,
                                 dmemory,
                                 b.states,
                                 b.accumulate};
    if (b.cell == Cell::tanh) return tanh_step_backward(at);
    return b.cell == Cell::gru ? gru_step_backward(at) : lstm_step_backward(at);
}

__global__ void __launch_bounds__(max_threads) recurrent_backward_kernel(Backward b) {
    float *const dh = shared_memory<float>(), *const dmemory = dh + b.states;  // [states] each
    const SequenceRows rows = b.sequences[blockIdx.x];
    for (std::int64_t c = threadIdx.x; c < b.states; c += blockDim.x) dh[c] = dmemory[c] = 0;
    for (std::int64_t t = rows.length() - 1; t >= 0; --t) {
        for (std::int64_t c = threadIdx.x; c < b.states; c += blockDim.x)
            dh[c] = step_backward(b, rows, t, c, dh[c], dmemory + c);
        __syncthreads();  // the other threads' gates too, which lie in global memory
        product(b.transposed, b.states, b.width, b.gates + rows.row(t, b.reverse) * b.width, dh, dh);
        __syncthreads();
    }
    for (std::int64_t c = threadIdx.x; c < b.states; c += blockDim.x) b.dh[blockIdx.x * b.states + c] = dh[c];
}

// A block for each sequence, with a warp for each row of the product as far as a block can have them.
Launch one_block_per_sequence(const char* op, std::int64_t sequences, std::int64_t product_rows, std::int64_t floats) {
    const std::int64_t threads = product_rows * warp_size;
    return one_block_each(op, sequences, threads < max_threads ? static_cast<unsigned>(threads) : max_threads,
                          static_cast<std::size_t>(floats) * sizeof(float));
}

}  // namespace

void recurrent_forward(const RecurrentForward& args) {
    const std::int64_t states = args.weight.shape[1], width = args.weight.shape[0];
    const Forward f = {.cell = args.cell,
                       .sequences = sequences_of(args.rows),
                       .reverse = args.reverse,
                       .x = args.x.as<float>(),
                       .weight = args.weight.as<float>(),
                       .bias = args.bias.as<float>(),
                       .start = args.start ? args.start.as<float>() : nullptr,
                       .x_stride = args.x.strides[0],
                       .h_stride = args.h.strides[0],
                       .states = states,
                       .width = width,
                       .h = args.h.as<float>(),
                       .before = args.before.as<float>(),
                       .gates = args.gates.as<float>(),
                       .memory = args.memory.as<float>()};
    launch(one_block_per_sequence("recurrent", f.sequences.count, width, states + width), recurrent_forward_kernel, f);
}

void recurrent_backward(const RecurrentBackward& args) {
    const std::int64_t states = args.weight.shape[1], width = args.weight.shape[0];
    const Sequences sequences = sequences_of(args.rows);
    const Tensor transposed = args.arena->tensor({states, width}, DType::float32);
    const Tensor dh = args.arena->tensor({sequences.count, states}, DType::float32);
    transpose({.x = args.weight, .y = transposed});
    const Backward b = {.cell = args.cell,
                        .sequences = sequences,
                        .reverse = args.reverse,
                        .accumulate = args.accumulate,
                        .dy = args.dy.as<float>(),
                        .transposed = transposed.as<float>(),
                        .before = args.before.as<float>(),
                        .memory = args.memory.as<float>(),
                        .dy_stride = args.dy.strides[0],
                        .dx_stride = args.dx.strides[0],
                        .states = states,
                        .width = width,
                        .gates = args.gates.as<float>(),
                        .dx = args.dx.as<float>(),
                        .dh = dh.as<float>()};
    launch(one_block_per_sequence("recurrent_backward", sequences.count, states, 2 * states), recurrent_backward_kernel,
           b);
    matmul({.a = args.gates, .b = args.before, .c = args.dweight, .transpose_a = true, .accumulate = true});
    column_sum({.x = args.gates, .sum = args.dbias});
    if (args.dstart) column_sum({.x = dh, .sum = args.dstart});
    for (const Tensor& tensor : {dh, transposed}) args.arena->give_back(tensor.data);
}

}  // namespace locus::LOCUS_TARGET
