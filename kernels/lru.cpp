#include "kernels/lru.h"

#include <cmath>
#include <complex>
#include <cstring>

#include "kernels/checks.h"
#include "kernels/for_dtype.h"
#include "kernels/isa.h"
#include "kernels/sequence_blocks.h"

namespace locus::LOCUS_TARGET {
namespace {

// The factors of a block of channels, taken in double once per sequence.
template <class T>
struct Factors {
    Factors(const Tensor& nu, const Tensor& phi, const Tensor& log_c, const SequenceBlock& block) {
        for (std::int64_t m = 0; m < block.count; ++m) {
            const double shrink = std::exp(static_cast<double>(nu.as<T>()[block.first + m]));
            const double turn = std::exp(static_cast<double>(phi.as<T>()[block.first + m]));
            real[m] = static_cast<T>(std::exp(-shrink) * std::cos(turn));
            imaginary[m] = static_cast<T>(std::exp(-shrink) * std::sin(turn));
            scale[m] = static_cast<T>(std::exp(static_cast<double>(log_c.as<T>()[block.first + m])));
        }
    }
    T real[channels_per_block], imaginary[channels_per_block], scale[channels_per_block];
};

template <class T>
void forward(const LruForward& args) {
    const std::int64_t numbers = args.nu.count();
    for_sequence_blocks(args.rows, numbers, [&](const SequenceBlock& block) {
        const Factors<T> l(args.nu, args.phi, args.log_c, block);
        T real[channels_per_block] = {}, imaginary[channels_per_block] = {};
        for (std::int64_t t = 0; t < block.end - block.begin; ++t) {
            const std::int64_t r = block.row(t, args.reverse);
            const T* const u = args.u.as<T>() + r * args.u.strides[0] + block.first;
            T* const s = args.s.as<T>() + r * args.s.strides[0] + block.first;
#pragma omp simd
            for (std::int64_t m = 0; m < block.count; ++m) {
                const T a = real[m], b = imaginary[m];
                real[m] = s[m] = l.real[m] * a - l.imaginary[m] * b + l.scale[m] * u[m];
                imaginary[m] = s[numbers + m] = l.real[m] * b + l.imaginary[m] * a + l.scale[m] * u[numbers + m];
            }
        }
    });
}

// Sums over the steps of a block: Re G, Im G and sum Re(conj(d) u).
template <class T>
struct Sums {
    T real[channels_per_block] = {}, imaginary[channels_per_block] = {}, scale[channels_per_block] = {};
};

// Where a block of a row begins in each matrix: real parts, and `apart` columns further on the imaginary ones. before: s of the step before.
template <class T>
struct GradientRow {
    const T *ds, *u, *before;
    std::int64_t apart, before_apart;
    T* du;
};

// later: on entry conj(l) d_{t+1}, on return conj(l) d_t; real parts, then imaginary ones.
template <bool accumulate, class T>
void row_backward(const GradientRow<T>& row, const Factors<T>& l, T* later, Sums<T>& sums, std::int64_t count) {
    const std::int64_t apart = row.apart;
    const T *const ds = row.ds, *const ds_imaginary = row.ds + apart, *const u = row.u;
    const T *const before = row.before, *const before_imaginary = row.before + row.before_apart;
    T *const du = row.du, *const du_imaginary = row.du + apart, *const later_imaginary = later + channels_per_block;
#pragma omp simd
    for (std::int64_t m = 0; m < count; ++m) {
        const T a = ds[m] + later[m], b = ds_imaginary[m] + later_imaginary[m];
        sums.real[m] += a * before[m] + b * before_imaginary[m];
        sums.imaginary[m] += b * before[m] - a * before_imaginary[m];
        sums.scale[m] += a * u[m] + b * u[apart + m];
        du[m] = l.scale[m] * a + (accumulate ? du[m] : T(0));
        du_imaginary[m] = l.scale[m] * b + (accumulate ? du_imaginary[m] : T(0));
        later[m] = l.real[m] * a + l.imaginary[m] * b;
        later_imaginary[m] = l.real[m] * b - l.imaginary[m] * a;
    }
}

template <class T>
void block_backward(const LruBackward& args, const SequenceBlock& block, T* partial) {
    const std::int64_t numbers = args.nu.count();
    const Factors<T> l(args.nu, args.phi, args.log_c, block);
    const T start[2 * channels_per_block] = {};
    T later[2 * channels_per_block] = {};
    Sums<T> sums;
    for (std::int64_t t = block.end - block.begin - 1; t >= 0; --t) {
        const std::int64_t r = block.row(t, args.reverse);
        const T* const s = args.s.as<T>() + block.first;
        const GradientRow<T> row = {args.ds.as<T>() + r * args.ds.strides[0] + block.first,
                                    args.u.as<T>() + r * args.u.strides[0] + block.first,
                                    t == 0 ? start : s + block.row(t - 1, args.reverse) * args.s.strides[0],
                                    numbers,
                                    t == 0 ? channels_per_block : numbers,
                                    args.du.as<T>() + r * args.du.strides[0] + block.first};
        args.accumulate ? row_backward<true>(row, l, later, sums, block.count)
                        : row_backward<false>(row, l, later, sums, block.count);
    }
    std::copy_n(sums.real, block.count, partial + block.first);
    std::copy_n(sums.imaginary, block.count, partial + numbers + block.first);
    std::copy_n(sums.scale, block.count, partial + 2 * numbers + block.first);
}

template <class T>
void backward(const LruBackward& args) {
    const std::int64_t numbers = args.nu.count(), sequences = args.rows.offsets.count() - 1;
    if (sequences == 0) return;
    const Tensor partials = args.arena->tensor({sequences, 3 * numbers}, args.ds.dtype);
    T* const partial = partials.as<T>();
    for_sequence_blocks(args.rows, numbers, [&](const SequenceBlock& block) {
        block_backward<T>(args, block, partial + block.number * 3 * numbers);
    });
    for (std::int64_t m = 0; m < numbers; ++m) {
        std::complex<double> sum = 0;
        double scale = 0;
        for (std::int64_t s = 0; s < sequences; ++s) {
            const T* const of = partial + s * 3 * numbers;
            sum += std::complex<double>(of[m], of[numbers + m]);
            scale += of[2 * numbers + m];
        }
        const double shrink = std::exp(static_cast<double>(args.nu.as<T>()[m]));
        const double turn = std::exp(static_cast<double>(args.phi.as<T>()[m]));
        const std::complex<double> l = std::polar(std::exp(-shrink), turn), i(0, 1);
        args.dnu.as<T>()[m] += static_cast<T>(-shrink * (std::conj(sum) * l).real());
        args.dphi.as<T>()[m] += static_cast<T>(turn * (std::conj(sum) * i * l).real());
        args.dlog_c.as<T>()[m] += static_cast<T>(std::exp(static_cast<double>(args.log_c.as<T>()[m])) * scale);
    }
    args.arena->give_back(partials.data);
}

// What both passes are given; returns the shape of u.
template <class Arguments>
Shape check_inputs(Op op, const Arguments& args) {
    const Shape shape = matrix_shape(op, "u", args.u), numbers = {args.nu.count()};
    check_rows(op, "u", args.u, {shape[0], 2 * numbers[0]});
    check_rows(op, "s", args.s, shape);
    check_contiguous(op, "nu", args.nu, numbers);
    check_contiguous(op, "phi", args.phi, numbers);
    check_contiguous(op, "log_c", args.log_c, numbers);
    check_contiguous(op, "offsets", args.rows.offsets, {args.rows.offsets.count()});
    return shape;
}

[[maybe_unused]] void check(const LruForward& args) { check_inputs({"lru", args.u.device}, args); }

[[maybe_unused]] void check(const LruBackward& args) {
    const Op op = {"lru_backward", args.ds.device};
    const Shape shape = check_inputs(op, args);
    check_rows(op, "ds", args.ds, shape);
    check_rows(op, "du", args.du, shape);
    check_contiguous(op, "dnu", args.dnu, args.nu.shape);
    check_contiguous(op, "dphi", args.dphi, args.nu.shape);
    check_contiguous(op, "dlog_c", args.dlog_c, args.nu.shape);
    LOCUS_CHECK(args.arena != nullptr, op.name, "arena is absent");
}

}  // namespace

void lru_forward(const LruForward& args) {
    for_dtype("lru", args.u.dtype, [&](auto zero) { forward<decltype(zero)>(args); });
}

void lru_backward(const LruBackward& args) {
    for_dtype("lru_backward", args.u.dtype, [&](auto zero) { backward<decltype(zero)>(args); });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(lru_forward, LruForward, u)
LOCUS_KERNEL(lru_backward, LruBackward, ds)
