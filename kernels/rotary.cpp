// Row by row: all heads of a row share the row of cosines and sines, which stays in the cache.

#include "kernels/rotary.h"

#include <stdexcept>
#include <string>

#include "kernels/checks.h"
#include "kernels/for_dtype.h"
#include "kernels/isa.h"

namespace locus::LOCUS_TARGET {
namespace {

// x: a head of one row. sign: -1 turns back.
template <bool interleaved, class T>
void turn_head(T* x, const T* cosines, const T* sines, T sign, std::int64_t pairs) {
    const std::int64_t step = interleaved ? 2 : 1, apart = interleaved ? 1 : pairs;
#pragma omp simd
    for (std::int64_t c = 0; c < pairs; ++c) {
        const T a = x[step * c], b = x[step * c + apart], sine = sign * sines[c];
        x[step * c] = a * cosines[c] - b * sine;
        x[step * c + apart] = a * sine + b * cosines[c];
    }
}

template <bool interleaved, class T>
void turn_rows(const Rotary& args, std::int64_t rows, std::int64_t width) {
    T* const x = args.x.as<T>();
    const auto* const positions = args.positions.as<std::int32_t>();
    const T *const cosines = args.cosines.as<T>(), *const sines = args.sines.as<T>(), sign = args.inverse ? -1 : 1;
    const std::int64_t pairs = args.cosines.shape[1], head_dim = args.head_dim, columns = args.columns;
#pragma omp parallel for schedule(static)
    for (std::int64_t r = 0; r < rows; ++r) {
        const std::int64_t angles = positions[r] * pairs;
        for (std::int64_t head = 0; head < columns; head += head_dim)
            turn_head<interleaved>(x + r * width + head, cosines + angles, sines + angles, sign, pairs);
    }
}

[[maybe_unused]] void check(const Rotary& args) {
    const Op op = {"rotary", args.x.device};
    const Shape shape = matrix_shape(op, "x", args.x);
    check_contiguous(op, "x", args.x, shape);
    check_contiguous(op, "positions", args.positions, {shape[0]});
    const Shape table = matrix_shape(op, "cosines", args.cosines);
    check_contiguous(op, "cosines", args.cosines, table);
    check_contiguous(op, "sines", args.sines, table);
    LOCUS_CHECK(args.head_dim > 0 && args.columns % args.head_dim == 0 && args.columns <= shape[1], op.name,
                std::to_string(args.columns) + " columns are not heads of " + std::to_string(args.head_dim) +
                    " within " + args.x.shape.to_string());
    LOCUS_CHECK(2 * table[1] <= args.head_dim, op.name,
                std::to_string(table[1]) + " pairs do not fit into a head of " + std::to_string(args.head_dim));
}

void check_positions(const Rotary& args) {
    const auto* const positions = args.positions.as<std::int32_t>();
    const std::int64_t rows = args.x.shape[0], longest = args.cosines.shape[0];
    for (std::int64_t r = 0; r < rows; ++r) {
        if (positions[r] >= 0 && positions[r] < longest) continue;
        throw std::out_of_range("[rotary] position " + std::to_string(positions[r]) + " of row " + std::to_string(r) +
                                " is outside [0, " + std::to_string(longest) + ")");
    }
}

}  // namespace

void rotary(const Rotary& args) {
    const Shape shape = args.x.shape;
    check_positions(args);
    for_dtype("rotary", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
        args.interleaved ? turn_rows<true, T>(args, shape[0], shape[1]) : turn_rows<false, T>(args, shape[0], shape[1]);
    });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(rotary, Rotary, x)
