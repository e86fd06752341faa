// Sum over rows on a GPU, in fixed groups of rows (gpu_column_sum.h).

#include "kernels/column_sum.h"

#include "kernels/gpu_column_sum.h"

namespace locus::LOCUS_TARGET {
namespace {

template <class T>
struct Element {
    const T* x;
    std::int64_t stride;

    __device__ Summands<1> operator()(std::int64_t row, std::int64_t column) const {
        return {{load(x + row * stride + column)}};
    }
};

}  // namespace

void column_sum(const ColumnSum& args) {
    for_storage("column_sum", args.x.dtype, [&](auto zero) {
        const Element<decltype(zero)> element = {args.x.as<decltype(zero)>(), args.x.strides[0]};
        add_column_sums<1>("column_sum", element, args.x.shape[0], args.x.shape[1], {{args.sum.as<float>()}});
    });
}

}  // namespace locus::LOCUS_TARGET
