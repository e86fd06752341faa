// A minimal GRU on a GPU: its steps are linear in the state, so they are a scan (gpu_scan.h). Formula, shapes and source: min_gru.h.
//
//   forward    h_t = (1 - z_t) h_{t-1} + z_t g_t                                                    state: h_t
//   backward   from the last step: (1 - z_t) d_t = (1 - z_t) (dh_t + (1 - z_{t+1}) d_{t+1})           state: (1 - z_t) d_t
//
// bytes    3 numbers per row and channel forward, 6 backward: what the second walk reads again mostly comes from the cache
// flop     twice the 30 of min_gru.h
// bound    memory, 2.5 to 10 flop per byte, for many sequences; latency for few: each thread walks along a 16th of a sequence, one number at a time

#include "kernels/min_gru.h"

#include "kernels/gpu_scan.h"
#include "kernels/gpu_sequences.h"

namespace locus::LOCUS_TARGET {
namespace {

__device__ float logistic(float x) { return 1.0F / (1.0F + expf(-x)); }

// A matrix of which the thread reads or writes one column.
template <class T>
struct Column {
    T* data;
    std::int64_t stride;

    __device__ T* at(std::int64_t row, std::int64_t column) const { return data + row * stride + column; }
};

template <class T>
Column<T> column_of(const Tensor& tensor) {
    return {tensor.as<T>(), tensor.strides[0]};
}

template <class T>
struct Forward {
    Column<T> x, h;
    Sequences sequences;
    std::int64_t channels;
    bool reverse;
};

template <class T>
struct ForwardSteps {
    const Forward<T>& f;
    SequenceRows rows;
    std::int64_t channel;

    __device__ LinearStep<float> linear(std::int64_t t) const {
        const std::int64_t r = rows.row(t, f.reverse);
        const float z = logistic(load(f.x.at(r, channel))), v = load(f.x.at(r, f.channels + channel));
        return {1.0F - z, z * (v >= 0 ? v + 0.5F : logistic(v))};
    }
    __device__ float step(std::int64_t t, float state) const {
        const LinearStep<float> by = linear(t);
        state = by.keep * state + by.add;
        store(f.h.at(rows.row(t, f.reverse), channel), state);
        return state;
    }
};

template <class T>
__global__ void __launch_bounds__(scan_threads) min_gru_forward_kernel(Forward<T> f) {
    ForwardSteps<T> steps = {f, f.sequences[blockIdx.x], scan_channel()};
    scan(steps, steps.channel < f.channels ? steps.rows.length() : 0, 1.0F);
}

template <class T>
struct Backward {
    Column<T> dh, x, h, dx;
    Sequences sequences;
    std::int64_t channels;
    bool reverse, accumulate;
};

template <class T>
struct BackwardSteps {
    const Backward<T>& b;
    SequenceRows rows;
    std::int64_t channel;

    // Step n on the way back is step t of the sequence.
    __device__ std::int64_t time(std::int64_t n) const { return rows.length() - 1 - n; }

    __device__ LinearStep<float> linear(std::int64_t n) const {
        const std::int64_t r = rows.row(time(n), b.reverse);
        const float keep = 1.0F - logistic(load(b.x.at(r, channel)));
        return {keep, keep * load(b.dh.at(r, channel))};
    }
    __device__ float step(std::int64_t n, float later) const {
        const std::int64_t t = time(n), r = rows.row(t, b.reverse);
        const float z = logistic(load(b.x.at(r, channel))), v = load(b.x.at(r, b.channels + channel));
        const float bent = logistic(v), candidate = v >= 0 ? v + 0.5F : bent, slope = v >= 0 ? 1.0F : bent * (1 - bent);
        const float before = t == 0 ? 0.0F : load(b.h.at(rows.row(t - 1, b.reverse), channel));
        const float d = load(b.dh.at(r, channel)) + later;
        put(b.dx.at(r, channel), d * (candidate - before) * z * (1 - z));
        put(b.dx.at(r, b.channels + channel), d * z * slope);
        return d * (1 - z);
    }
    __device__ void put(T* to, float value) const { store(to, b.accumulate ? load(to) + value : value); }
};

template <class T>
__global__ void __launch_bounds__(scan_threads) min_gru_backward_kernel(Backward<T> b) {
    BackwardSteps<T> steps = {b, b.sequences[blockIdx.x], scan_channel()};
    scan(steps, steps.channel < b.channels ? steps.rows.length() : 0, 1.0F);
}

template <class T>
void forward(const MinGruForward& args) {
    const Forward<T> f = {.x = column_of<T>(args.x),
                          .h = column_of<T>(args.h),
                          .sequences = sequences_of(args.rows),
                          .channels = args.h.shape[1],
                          .reverse = args.reverse};
    launch(scan_launch("min_gru", f.sequences.count, f.channels), min_gru_forward_kernel<T>, f);
}

template <class T>
void backward(const MinGruBackward& args) {
    const Backward<T> b = {.dh = column_of<T>(args.dh),
                           .x = column_of<T>(args.x),
                           .h = column_of<T>(args.h),
                           .dx = column_of<T>(args.dx),
                           .sequences = sequences_of(args.rows),
                           .channels = args.h.shape[1],
                           .reverse = args.reverse,
                           .accumulate = args.accumulate};
    launch(scan_launch("min_gru_backward", b.sequences.count, b.channels), min_gru_backward_kernel<T>, b);
}

}  // namespace

void min_gru_forward(const MinGruForward& args) {
    for_storage("min_gru", args.h.dtype, [&](auto zero) { forward<decltype(zero)>(args); });
}

void min_gru_backward(const MinGruBackward& args) {
    for_storage("min_gru_backward", args.h.dtype, [&](auto zero) { backward<decltype(zero)>(args); });
}

}  // namespace locus::LOCUS_TARGET
