#include "kernels/row_products.h"

#include <string>

#include "kernels/checks.h"
#include "kernels/for_dtype.h"
#include "kernels/isa.h"

namespace locus::LOCUS_TARGET {
namespace {

void check_rows_within(const char* name, const Tensor& rows, std::int64_t entries) {
    for (std::int64_t n = 0; n < rows.count(); ++n) {
        const std::int32_t row = rows.as<std::int32_t>()[n];
        LOCUS_CHECK(row >= 0 && row < entries, "row_products",
                    std::string(name) + " asks for row " + std::to_string(row) + " of " + std::to_string(entries));
    }
}

void check_rows_within(const RowProducts& args) {
    check_rows_within("a_rows", args.a_rows, args.a.shape[0]);
    check_rows_within("b_rows", args.b_rows, args.b.shape[0]);
}

void check(Op op, const RowProducts& args, const char* name, const Tensor& y) {
    const Shape a = matrix_shape(op, "a", args.a);
    check_contiguous(op, "a", args.a, a);
    check_contiguous(op, "b", args.b, {args.b.shape[0], a[1]});
    check_dtype(op, "b", args.b, args.a.dtype);
    LOCUS_CHECK(args.heads > 0 && a[1] % args.heads == 0, op.name,
                std::to_string(a[1]) + " columns are not " + std::to_string(args.heads) + " heads");
    const std::int64_t pairs = args.a_rows.count();
    check_contiguous(op, "a_rows", args.a_rows, {pairs});
    check_contiguous(op, "b_rows", args.b_rows, {pairs});
    check_contiguous(op, name, y, {args.heads, pairs});
    check_dtype(op, name, y, args.a.dtype);
}

[[maybe_unused]] void check(const RowProductsForward& args) {
    check({"row_products", args.operands.a.device}, args.operands, "y", args.y);
}

[[maybe_unused]] void check(const RowProductsBackward& args) {
    const Op op = {"row_products_backward", args.operands.a.device};
    check(op, args.operands, "dy", args.dy);
    check_contiguous(op, "da", args.da, args.operands.a.shape);
    check_contiguous(op, "db", args.db, args.operands.b.shape);
}

// Where head h of a row begins, for pair n.
struct Pairs {
    const std::int32_t *i, *j;
    std::int64_t columns, head_dim;

    explicit Pairs(const RowProducts& args)
        : i(args.a_rows.as<std::int32_t>()),
          j(args.b_rows.as<std::int32_t>()),
          columns(args.a.shape[1]),
          head_dim(args.a.shape[1] / args.heads) {}
    std::int64_t in_a(std::int64_t n, std::int64_t h) const { return i[n] * columns + h * head_dim; }
    std::int64_t in_b(std::int64_t n, std::int64_t h) const { return j[n] * columns + h * head_dim; }
};

}  // namespace

void row_products_forward(const RowProductsForward& args) {
    check_rows_within(args.operands);
    for_dtype("row_products", args.y.dtype, [&](auto zero) {
        using T = decltype(zero);
        const Pairs pairs(args.operands);
        const T *const a = args.operands.a.as<T>(), *const b = args.operands.b.as<T>();
        T* const y = args.y.as<T>();
        const std::int64_t heads = args.operands.heads, count = args.y.shape[1];
        const T scale = static_cast<T>(args.operands.scale);
#pragma omp parallel for schedule(static)
        for (std::int64_t h = 0; h < heads; ++h) {
            for (std::int64_t n = 0; n < count; ++n) {
                const T *const left = a + pairs.in_a(n, h), *const right = b + pairs.in_b(n, h);
                T sum = 0;
#pragma omp simd reduction(+ : sum)
                for (std::int64_t c = 0; c < pairs.head_dim; ++c) sum += left[c] * right[c];
                y[h * count + n] = scale * sum;
            }
        }
    });
}

void row_products_backward(const RowProductsBackward& args) {
    check_rows_within(args.operands);
    for_dtype("row_products_backward", args.dy.dtype, [&](auto zero) {
        using T = decltype(zero);
        const Pairs pairs(args.operands);
        const T *const a = args.operands.a.as<T>(), *const b = args.operands.b.as<T>(), *const dy = args.dy.as<T>();
        T *const da = args.da.as<T>(), *const db = args.db.as<T>();
        const std::int64_t heads = args.operands.heads, count = args.dy.shape[1];
        const T scale = static_cast<T>(args.operands.scale);
#pragma omp parallel for schedule(static)
        for (std::int64_t h = 0; h < heads; ++h) {
            for (std::int64_t n = 0; n < count; ++n) {
                const std::int64_t left = pairs.in_a(n, h), right = pairs.in_b(n, h);
                const T weight = scale * dy[h * count + n];
#pragma omp simd
                for (std::int64_t c = 0; c < pairs.head_dim; ++c) {
                    da[left + c] += weight * b[right + c];
                    db[right + c] += weight * a[left + c];
                }
            }
        }
    });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(row_products_forward, RowProductsForward, operands.a)
LOCUS_KERNEL(row_products_backward, RowProductsBackward, operands.a)
