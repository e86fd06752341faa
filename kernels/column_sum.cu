// Sum over rows on a GPU, in fixed groups of rows (gpu_column_sum.h). Formula, shapes: column_sum.h.
//
// bytes    one read per element, 4 in float32, 2 in bfloat16; the groups' sums are 1/32 as many float32, written and read
// flop     1
// bound    memory, 0.25 to 0.5 flop per byte

#include "kernels/column_sum.h"

#include "kernels/gpu_column_sum.h"

namespace locus::LOCUS_TARGET {
namespace {

// Columns begin .. end - 1, W to a thread.
template <class T, int W>
void sum_columns(const ColumnSum& args, std::int64_t begin, std::int64_t end) {
    const Element<T, W> element = {args.x.as<T>() + begin, args.x.strides[0]};
    add_column_sums<1, W>("column_sum", element, args.x.shape[0], end - begin, {{args.sum.as<float>() + begin}});
}

}  // namespace

void column_sum(const ColumnSum& args) {
    const std::int64_t columns = args.x.shape[1];
    const std::int64_t even = begins_even(args.x) ? columns / most_several * most_several : 0;
    for_storage("column_sum", args.x.dtype, [&](auto zero) {
        sum_columns<decltype(zero), most_several>(args, 0, even);
        sum_columns<decltype(zero), 1>(args, even, columns);  // what is left over, of a vocabulary, say
    });
}

}  // namespace locus::LOCUS_TARGET
