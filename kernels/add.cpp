// y += x: two reads and one write per element, memory bound.

#include "kernels/add.h"

#include "kernels/checks.h"
#include "kernels/for_dtype.h"
#include "kernels/isa.h"

namespace locus::LOCUS_TARGET {
namespace {

[[maybe_unused]] void check(const Add& args) {
    const Op op = {"add", args.x.device};
    check_contiguous(op, "x", args.x, args.x.shape);
    check_contiguous(op, "y", args.y, args.x.shape);
    check_dtype(op, "y", args.y, args.x.dtype);
}

}  // namespace

void add(const Add& args) {
    for_dtype("add", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
        const T* const x = args.x.as<T>();
        T* const y = args.y.as<T>();
        const std::int64_t n = args.x.count();
#pragma omp parallel for simd schedule(static)
        for (std::int64_t i = 0; i < n; ++i) y[i] += x[i];
    });
}

}  // namespace locus::LOCUS_TARGET

LOCUS_KERNEL(add, Add, x)
