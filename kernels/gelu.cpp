// Bias and GELU in one pass; the exponential of the density serves the distribution function too (vector_math.h).

#include "kernels/gelu.h"

#include "kernels/checks.h"
#include "kernels/for_dtype.h"
#include "kernels/isa.h"
#include "kernels/row_blocks.h"
#include "kernels/vector_math.h"

namespace locus::LOCUS_TARGET {
namespace {

template <class T>
void forward(const GeluForward& args, std::int64_t rows, std::int64_t columns) {
    const T* const x = args.x.as<T>();
    const T* const bias = args.bias.as<T>();
    T* const y = args.y.as<T>();
#pragma omp parallel for schedule(static)
    for (std::int64_t r = 0; r < rows; ++r) {
        const T* const x_row = x + r * columns;
        T* const y_row = y + r * columns;
#pragma omp simd
        for (std::int64_t c = 0; c < columns; ++c) {
            const T z = x_row[c] + bias[c];
            y_row[c] = z * normal_distribution(z).cdf;
        }
    }
}

template <class T>
void backward(const GeluBackward& args, std::int64_t rows, std::int64_t columns) {
    const T* const dy = args.dy.as<T>();
    const T* const x = args.x.as<T>();
    const T* const bias = args.bias.as<T>();
    T* const dx = args.dx.as<T>();
    T* const dbias = args.dbias.as<T>();
    sum_row_blocks<T>(
        rows, columns,
        [=](std::int64_t begin, std::int64_t end, T* partial) {
            for (std::int64_t r = begin; r < end; ++r) {
                const std::int64_t row = r * columns;
#pragma omp simd
                for (std::int64_t c = 0; c < columns; ++c) {
                    const T z = x[row + c] + bias[c];
                    const Normal<T> normal = normal_distribution(z);
                    const T dz = dy[row + c] * (normal.cdf + z * normal.density);
                    dx[row + c] = dz;
                    partial[c] += dz;
                }
            }
        },
        [=](std::int64_t c, T total) { dbias[c] += total; });
}

[[maybe_unused]] void check(const GeluForward& args) {
    const Op op = {"gelu", args.x.device};
    const Shape shape = matrix_shape(op, "x", args.x);
    check_contiguous(op, "x", args.x, shape);
    check_contiguous(op, "bias", args.bias, {shape[1]});
    check_contiguous(op, "y", args.y, shape);
}

[[maybe_unused]] void check(const GeluBackward& args) {
    const Op op = {"gelu", args.x.device};
    const Shape shape = matrix_shape(op, "x", args.x);
    check_contiguous(op, "x", args.x, shape);
    check_contiguous(op, "dy", args.dy, shape);
    check_contiguous(op, "dx", args.dx, shape);
    check_contiguous(op, "bias", args.bias, {shape[1]});
    check_contiguous(op, "dbias", args.dbias, {shape[1]});
}

}  // namespace

void gelu_forward(const GeluForward& args) {
    const Shape shape = args.x.shape;
    for_dtype("gelu", args.x.dtype, [&](auto zero) { forward<decltype(zero)>(args, shape[0], shape[1]); });
}

void gelu_backward(const GeluBackward& args) {
    const Shape shape = args.x.shape;
    for_dtype("gelu", args.x.dtype, [&](auto zero) { backward<decltype(zero)>(args, shape[0], shape[1]); });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(gelu_forward, GeluForward, x)
LOCUS_KERNEL(gelu_backward, GeluBackward, x)
