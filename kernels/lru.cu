// A linear recurrent unit on a GPU: a scan over complex numbers (gpu_scan.h). Formula, shapes and source: lru.h.
//
//   forward    s_t = l s_{t-1} + c u_t                                                  state: s_t
//   backward   from the last step: conj(l) d_t = conj(l) (ds_t + conj(l) d_{t+1})       state: conj(l) d_t
//
// The factors are computed in float64, once for each number, by a kernel of their own: what is lost in the angle of l grows with the number of steps.
// The factors' gradients are summed over t by the thread that walks there, then over a sequence's pieces, then over the sequences, in their order.
//
// bytes    4 real numbers per row and complex number forward, 8 backward; what the second walk reads again mostly comes from the cache
// flop     16 forward, 40 backward per row and complex number
// bound    memory, 1 to 2.5 flop per byte, for many sequences; latency for few: each thread walks along a 16th of a sequence, one number at a time

#include "kernels/lru.h"

#include "kernels/gpu_scan.h"
#include "kernels/gpu_sequences.h"

namespace locus::LOCUS_TARGET {
namespace {

struct Complex {
    float real, imaginary;
};
__device__ Complex operator+(Complex a, Complex b) { return {a.real + b.real, a.imaginary + b.imaginary}; }
__device__ Complex operator*(Complex a, Complex b) {
    return {a.real * b.real - a.imaginary * b.imaginary, a.real * b.imaginary + a.imaginary * b.real};
}
__device__ Complex operator*(float a, Complex b) { return {a * b.real, a * b.imaginary}; }
__device__ Complex conjugate(Complex a) { return {a.real, -a.imaginary}; }

struct Factor {
    Complex l;
    float c;
};

__global__ void lru_factors_kernel(const float* nu, const float* phi, const float* log_c, std::int64_t numbers,
                                   Factor* factors) {
    const std::int64_t m = index_in_grid();
    if (m >= numbers) return;
    const double length = exp(-exp(static_cast<double>(nu[m]))), turn = exp(static_cast<double>(phi[m]));
    factors[m] = {{static_cast<float>(length * cos(turn)), static_cast<float>(length * sin(turn))},
                  static_cast<float>(exp(static_cast<double>(log_c[m])))};
}

// A row holds all real parts and then all imaginary parts.
template <class T>
struct ComplexRows {
    T* data;
    std::int64_t stride, numbers;

    __device__ Complex get(std::int64_t row, std::int64_t m) const {
        const T* const at = data + row * stride + m;
        return {load(at), load(at + numbers)};
    }
    __device__ void set(std::int64_t row, std::int64_t m, Complex value) const {
        T* const at = data + row * stride + m;
        store(at, value.real);
        store(at + numbers, value.imaginary);
    }
};

template <class T>
ComplexRows<T> complex_rows(const Tensor& tensor) {
    return {tensor.as<T>(), tensor.strides[0], tensor.shape[1] / 2};
}

template <class T>
struct Forward {
    ComplexRows<T> u, s;
    const Factor* factors;
    Sequences sequences;
    bool reverse;
};

template <class T>
struct ForwardSteps {
    const Forward<T>& f;
    SequenceRows rows;
    std::int64_t m;
    Factor factor;

    __device__ LinearStep<Complex> linear(std::int64_t t) const {
        return {factor.l, factor.c * f.u.get(rows.row(t, f.reverse), m)};
    }
    __device__ Complex step(std::int64_t t, Complex state) const {
        const LinearStep<Complex> by = linear(t);
        state = by.keep * state + by.add;
        f.s.set(rows.row(t, f.reverse), m, state);
        return state;
    }
};

template <class T>
__global__ void __launch_bounds__(scan_threads) lru_forward_kernel(Forward<T> f) {
    const std::int64_t m = scan_channel();
    const bool there = m < f.u.numbers;
    ForwardSteps<T> steps = {f, f.sequences[blockIdx.x], m, there ? f.factors[m] : Factor{}};
    scan(steps, there ? steps.rows.length() : 0, Complex{1, 0});
}

template <class T>
struct Backward {
    ComplexRows<T> ds, u, s, du;
    const Factor* factors;
    Sequences sequences;
    bool reverse, accumulate;
    float* partials;  // [sequences, 3, M]: Re G, Im G and the sum for log_c
};

template <class T>
struct BackwardSteps {
    const Backward<T>& b;
    SequenceRows rows;
    std::int64_t m;
    Factor factor;
    Complex sum = {};  // G
    float scale = 0;

    // Step n on the way back is step t of the sequence.
    __device__ std::int64_t time(std::int64_t n) const { return rows.length() - 1 - n; }

    __device__ LinearStep<Complex> linear(std::int64_t n) const {
        const Complex keep = conjugate(factor.l);
        return {keep, keep * b.ds.get(rows.row(time(n), b.reverse), m)};
    }
    __device__ Complex step(std::int64_t n, Complex later) {
        const std::int64_t t = time(n), r = rows.row(t, b.reverse);
        const Complex d = b.ds.get(r, m) + later, u = b.u.get(r, m);
        if (t > 0) sum = sum + d * conjugate(b.s.get(rows.row(t - 1, b.reverse), m));
        scale += d.real * u.real + d.imaginary * u.imaginary;
        b.du.set(r, m, b.accumulate ? b.du.get(r, m) + factor.c * d : factor.c * d);
        return conjugate(factor.l) * d;
    }
};

template <class T>
__global__ void __launch_bounds__(scan_threads) lru_backward_kernel(Backward<T> b) {
    const std::int64_t m = scan_channel(), numbers = b.u.numbers;
    const bool there = m < numbers;
    BackwardSteps<T> steps = {b, b.sequences[blockIdx.x], m, there ? b.factors[m] : Factor{}};
    scan(steps, there ? steps.rows.length() : 0, Complex{1, 0});
    const float real = sum_of_pieces(steps.sum.real), imaginary = sum_of_pieces(steps.sum.imaginary);
    const float scale = sum_of_pieces(steps.scale);
    if (!there || threadIdx.y > 0) return;
    float* const partial = b.partials + blockIdx.x * 3 * numbers + m;
    partial[0] = real;
    partial[numbers] = imaginary;
    partial[2 * numbers] = scale;
}

struct FactorGradients {
    const float *nu, *phi, *log_c, *partials;
    std::int64_t sequences, numbers;
    float *dnu, *dphi, *dlog_c;
};

__global__ void lru_add_kernel(FactorGradients g) {
    const std::int64_t m = index_in_grid();
    if (m >= g.numbers) return;
    double real = 0, imaginary = 0, scale = 0;  // G = real + i imaginary
    for (std::int64_t s = 0; s < g.sequences; ++s) {
        const float* const partial = g.partials + s * 3 * g.numbers + m;
        real += static_cast<double>(partial[0]);
        imaginary += static_cast<double>(partial[g.numbers]);
        scale += static_cast<double>(partial[2 * g.numbers]);
    }
    const double shrink = exp(static_cast<double>(g.nu[m])), turn = exp(static_cast<double>(g.phi[m]));
    const double l_real = exp(-shrink) * cos(turn), l_imaginary = exp(-shrink) * sin(turn);
    g.dnu[m] += static_cast<float>(-shrink * (real * l_real + imaginary * l_imaginary));
    g.dphi[m] += static_cast<float>(turn * (imaginary * l_real - real * l_imaginary));
    g.dlog_c[m] += static_cast<float>(exp(static_cast<double>(g.log_c[m])) * scale);
}

// The factors, and behind them `floats` numbers for partial sums.
struct Scratch {
    Factor* factors;
    float* partials;
};

template <class Arguments>
Scratch compute_factors(const char* op, const Arguments& args, std::int64_t floats) {
    const std::int64_t numbers = args.nu.count();
    auto* const factors = static_cast<Factor*>(
        scratch(static_cast<std::size_t>(numbers) * sizeof(Factor) + static_cast<std::size_t>(floats) * sizeof(float)));
    const float *const nu = args.nu.template as<float>(), *const phi = args.phi.template as<float>();
    const float* const log_c = args.log_c.template as<float>();
    launch(one_thread_each(op, numbers), lru_factors_kernel, nu, phi, log_c, numbers, factors);
    return {factors, reinterpret_cast<float*>(factors + numbers)};
}

template <class T>
void forward(const LruForward& args) {
    const Forward<T> f = {.u = complex_rows<T>(args.u),
                          .s = complex_rows<T>(args.s),
                          .factors = compute_factors("lru", args, 0).factors,
                          .sequences = sequences_of(args.rows),
                          .reverse = args.reverse};
    launch(scan_launch("lru", f.sequences.count, f.u.numbers), lru_forward_kernel<T>, f);
}

template <class T>
void backward(const LruBackward& args) {
    const char* const op = "lru_backward";
    const Sequences sequences = sequences_of(args.rows);
    const std::int64_t numbers = args.nu.count();
    const Scratch memory = compute_factors(op, args, sequences.count * 3 * numbers);
    const Backward<T> b = {.ds = complex_rows<T>(args.ds),
                           .u = complex_rows<T>(args.u),
                           .s = complex_rows<T>(args.s),
                           .du = complex_rows<T>(args.du),
                           .factors = memory.factors,
                           .sequences = sequences,
                           .reverse = args.reverse,
                           .accumulate = args.accumulate,
                           .partials = memory.partials};
    launch(scan_launch(op, sequences.count, numbers), lru_backward_kernel<T>, b);
    const FactorGradients g = {.nu = args.nu.as<float>(),
                               .phi = args.phi.as<float>(),
                               .log_c = args.log_c.as<float>(),
                               .partials = memory.partials,
                               .sequences = sequences.count,
                               .numbers = numbers,
                               .dnu = args.dnu.as<float>(),
                               .dphi = args.dphi.as<float>(),
                               .dlog_c = args.dlog_c.as<float>()};
    launch(one_thread_each(op, numbers), lru_add_kernel, g);
}

}  // namespace

void lru_forward(const LruForward& args) {
    for_storage("lru", args.u.dtype, [&](auto zero) { forward<decltype(zero)>(args); });
}

void lru_backward(const LruBackward& args) {
    for_storage("lru_backward", args.u.dtype, [&](auto zero) { backward<decltype(zero)>(args); });
}

}  // namespace locus::LOCUS_TARGET
