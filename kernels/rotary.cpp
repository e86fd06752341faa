// Row by row: all heads of a row share the row of cosines and sines, which stays in the cache.

#include "kernels/rotary.h"

#include <stdexcept>
#include <string>

#include "kernels/checks.h"
#include "kernels/for_dtype.h"
#include "kernels/isa.h"

namespace locus::LOCUS_TARGET {
namespace {

template <class T>
void put(T* to, T value, bool accumulate) {
    *to = accumulate ? *to + value : value;
}

template <class T>
struct Turn {
    const T *cosines, *sines;         // of this row
    T sign;                           // -1: back
    std::int64_t pairs, apart, step;  // pair c is the channels step * c and step * c + apart
    bool accumulate;
};

template <class T>
void turn_head(const Turn<T>& turn, const T* x, T* y, std::int64_t head_dim) {
    const T *const cosines = turn.cosines, *const sines = turn.sines, sign = turn.sign;
    const std::int64_t pairs = turn.pairs, apart = turn.apart, step = turn.step;
    const bool accumulate = turn.accumulate;
#pragma omp simd
    for (std::int64_t c = 0; c < pairs; ++c) {
        const T a = x[step * c], b = x[step * c + apart], sine = sign * sines[c];
        put(y + step * c, a * cosines[c] - b * sine, accumulate);
        put(y + step * c + apart, a * sine + b * cosines[c], accumulate);
    }
    for (std::int64_t channel = 2 * pairs; channel < head_dim; ++channel) put(y + channel, x[channel], accumulate);
}

template <class T>
void turn_rows(const Rotary& args, std::int64_t rows, std::int64_t width) {
    const T* const x = args.x.as<T>();
    T* const y = args.y.as<T>();
    const auto* const positions = args.positions.as<std::int32_t>();
    const T *const cosines = args.cosines.as<T>(), *const sines = args.sines.as<T>();
    const std::int64_t pairs = args.cosines.shape[1], head_dim = args.head_dim, columns = args.columns;
    const bool accumulate = args.accumulate, in_place = x == y && !accumulate;
#pragma omp parallel for schedule(static)
    for (std::int64_t r = 0; r < rows; ++r) {
        const Turn<T> turn = {cosines + positions[r] * pairs,
                              sines + positions[r] * pairs,
                              args.inverse ? T{-1} : T{1},
                              pairs,
                              args.interleaved ? 1 : pairs,
                              args.interleaved ? 2 : 1,
                              accumulate};
        const T* const from = x + r * width;
        T* const to = y + r * width;
        for (std::int64_t head = 0; head < columns; head += head_dim) turn_head(turn, from + head, to + head, head_dim);
        if (in_place) continue;
#pragma omp simd
        for (std::int64_t c = columns; c < width; ++c) to[c] = accumulate ? to[c] + from[c] : from[c];
    }
}

void check(const Rotary& args, Shape shape) {
    check_contiguous("rotary", "x", args.x, shape);
    check_contiguous("rotary", "y", args.y, shape);
    check_dtype("rotary", "y", args.y, args.x.dtype);
    check_contiguous("rotary", "positions", args.positions, {shape[0]});
    const Shape table = matrix_shape("rotary", "cosines", args.cosines);
    check_contiguous("rotary", "cosines", args.cosines, table);
    check_contiguous("rotary", "sines", args.sines, table);
    LOCUS_CHECK(args.head_dim > 0 && args.columns % args.head_dim == 0 && args.columns <= shape[1], "rotary",
                std::to_string(args.columns) + " columns are not heads of " + std::to_string(args.head_dim) +
                    " within " + args.x.shape.to_string());
    LOCUS_CHECK(2 * table[1] <= args.head_dim, "rotary",
                std::to_string(table[1]) + " pairs do not fit into a head of " + std::to_string(args.head_dim));
    const auto* const positions = args.positions.as<std::int32_t>();
    for (std::int64_t r = 0; r < shape[0]; ++r) {
        if (positions[r] >= 0 && positions[r] < table[0]) continue;
        throw std::out_of_range("[rotary] position " + std::to_string(positions[r]) + " of row " + std::to_string(r) +
                                " is outside [0, " + std::to_string(table[0]) + ")");
    }
}

}  // namespace

void rotary(const Rotary& args) {
    const Shape shape = matrix_shape("rotary", "x", args.x);
    check(args, shape);
    for_dtype("rotary", args.x.dtype, [&](auto zero) { turn_rows<decltype(zero)>(args, shape[0], shape[1]); });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(rotary, Rotary)
