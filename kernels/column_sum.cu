// Sum over rows on a GPU, in fixed groups of rows (gpu_column_sum.h).
//
// bytes    4 per element in float32, 2 in bfloat16, for one addition: memory bound

#include "kernels/column_sum.h"

#include "kernels/gpu_column_sum.h"

namespace locus::LOCUS_TARGET {

void column_sum(const ColumnSum& args) {
    const std::int64_t rows = args.x.shape[0], columns = args.x.shape[1];
    for_storage("column_sum", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
        for_width({args.x}, [&](auto width) {
            const Element<T, width> element = {args.x.as<T>(), args.x.strides[0]};
            add_column_sums<1, width>("column_sum", element, rows, columns, {{args.sum.as<float>()}});
        });
    });
}

}  // namespace locus::LOCUS_TARGET
