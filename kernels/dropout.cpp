// Dropout: one Philox call decides for eight columns, sixteen calls at a time (philox_lanes.h). Bits first, then one compare and one
// multiplication per element, both vectorised.

#include "kernels/dropout.h"

#include <algorithm>

#include "kernels/checks.h"
#include "kernels/dropout_row.h"
#include "kernels/for_dtype.h"
#include "kernels/isa.h"

namespace locus::LOCUS_TARGET {
namespace {

template <class T>
void dropout_rows(const DropoutForward& args, std::int64_t rows, std::int64_t columns) {
    const DropoutRule rule = dropout_rule("dropout", args.dropout);
    const T scale = static_cast<T>(rule.scale);
    const auto* sequence = args.rows.sequence.as<std::int32_t>();
    const auto* position = args.rows.position.as<std::int32_t>();
    const T* const x = args.x.as<T>();
    T* const y = args.y.as<T>();
#pragma omp parallel for schedule(static)
    for (std::int64_t r = 0; r < rows; ++r) {
        const T* const x_row = x + r * columns;
        T* const y_row = y + r * columns;
        for_dropout_row(rule, sequence[r], position[r], columns, [=](std::int64_t c, bool keep) {
            const T scaled = x_row[c] * scale;
            y_row[c] = keep ? scaled : T{0};
        });
    }
}

[[maybe_unused]] void check(const DropoutForward& args) {
    const Op op = {"dropout", args.x.device};
    const Shape shape = matrix_shape(op, "x", args.x);
    check_contiguous(op, "x", args.x, shape);
    check_contiguous(op, "y", args.y, shape);
    check_dtype(op, "y", args.y, args.x.dtype);
    if (args.dropout) check_dropout_rows(op, args.rows, shape[0]);
}

}  // namespace

void dropout_forward(const DropoutForward& args) {
    const Shape shape = args.x.shape;
    if (!args.dropout) {
        for_dtype("dropout", args.x.dtype, [&](auto zero) {
            using T = decltype(zero);
            if (args.y.data != args.x.data) std::copy_n(args.x.as<T>(), shape.count(), args.y.as<T>());
        });
        return;
    }
    for_dtype("dropout", args.x.dtype, [&](auto zero) { dropout_rows<decltype(zero)>(args, shape[0], shape[1]); });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(dropout_forward, DropoutForward, x)
