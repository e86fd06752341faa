// A neighbour at distance t in position is at most |t| rows away, and nearer only where positions are missing in between.

#include "kernels/unfold.h"

#include <algorithm>
#include <cstdlib>

#include "kernels/checks.h"
#include "kernels/for_dtype.h"
#include "kernels/isa.h"

namespace locus::LOCUS_TARGET {
namespace {

// The row of a sequence's rows begin .. end - 1 that stands `apart` positions from row r, or -1.
std::int64_t neighbour(const std::int32_t* position, std::int64_t begin, std::int64_t end, std::int64_t r,
                       std::int64_t apart) {
    const std::int64_t step = apart < 0 ? -1 : 1;
    for (std::int64_t row = r; row >= begin && row < end; row += step) {
        const std::int64_t distance = position[row] - position[r];
        if (distance == apart) return row;
        if (std::abs(distance) > std::abs(apart)) return -1;
    }
    return -1;
}

// Calls body(r, begin, end) for every row with the bounds of its sequence.
template <class Body>
void for_rows(const AttentionRows& rows, const Body& body) {
    const auto* const offsets = rows.offsets.as<std::int32_t>();
    const std::int64_t sequences = rows.offsets.count() - 1;
    for (std::int64_t s = 0; s < sequences; ++s) {
#pragma omp parallel for schedule(static)
        for (std::int64_t r = offsets[s]; r < offsets[s + 1]; ++r) body(r, offsets[s], offsets[s + 1]);
    }
}

void check(Op op, const Tensor& narrow, const Tensor& wide, const AttentionRows& rows, std::int64_t width) {
    LOCUS_CHECK(width >= 1 && width % 2 == 1, op.name, "width " + std::to_string(width) + " is not odd");
    const Shape shape = matrix_shape(op, "x", narrow);
    check_contiguous(op, "x", narrow, shape);
    check_contiguous(op, "y", wide, {shape[0], shape[1] * width});
    check_dtype(op, "y", wide, narrow.dtype);
    check_contiguous(op, "offsets", rows.offsets, {rows.offsets.count()});
    check_contiguous(op, "positions", rows.positions, {shape[0]});
}

[[maybe_unused]] void check(const UnfoldForward& args) {
    check({"unfold", args.x.device}, args.x, args.y, args.rows, args.width);
}

[[maybe_unused]] void check(const UnfoldBackward& args) {
    check({"unfold_backward", args.dy.device}, args.dx, args.dy, args.rows, args.width);
}

}  // namespace

void unfold_forward(const UnfoldForward& args) {
    for_dtype("unfold", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
        const T* const x = args.x.as<T>();
        T* const y = args.y.as<T>();
        const auto* const position = args.rows.positions.as<std::int32_t>();
        const std::int64_t columns = args.x.shape[1], width = args.width;
        for_rows(args.rows, [=](std::int64_t r, std::int64_t begin, std::int64_t end) {
            T* const out = y + r * columns * width;
            for (std::int64_t t = 0; t < width; ++t) {
                const std::int64_t from = neighbour(position, begin, end, r, t - (width - 1) / 2);
                for (std::int64_t c = 0; c < columns; ++c) out[c * width + t] = from < 0 ? T(0) : x[from * columns + c];
            }
        });
    });
}

void unfold_backward(const UnfoldBackward& args) {
    for_dtype("unfold_backward", args.dx.dtype, [&](auto zero) {
        using T = decltype(zero);
        const T* const dy = args.dy.as<T>();
        T* const dx = args.dx.as<T>();
        const auto* const position = args.rows.positions.as<std::int32_t>();
        const std::int64_t columns = args.dx.shape[1], width = args.width;
        const bool accumulate = args.accumulate;
        for_rows(args.rows, [=](std::int64_t s, std::int64_t begin, std::int64_t end) {
            T* const out = dx + s * columns;
            if (!accumulate) std::fill_n(out, columns, T(0));
            for (std::int64_t t = 0; t < width; ++t) {
                const std::int64_t from = neighbour(position, begin, end, s, (width - 1) / 2 - t);
                if (from < 0) continue;
                for (std::int64_t c = 0; c < columns; ++c) out[c] += dy[(from * columns + c) * width + t];
            }
        });
    });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(unfold_forward, UnfoldForward, x)
LOCUS_KERNEL(unfold_backward, UnfoldBackward, dy)
