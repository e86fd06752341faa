// Columns from one matrix to another on a GPU: a thread for each eight elements. x and y may be stored differently. Shapes: copy_columns.h.
//
// bytes    one read (two when adding) and one write per element: 8 (12) in float32, 4 (6) in bfloat16
// flop     none, or 1
// bound    memory

#include "kernels/copy_columns.h"

#include "kernels/gpu_vector.h"

namespace locus::LOCUS_TARGET {
namespace {

template <class X, class Y>
struct Copy {
    const X* x;
    std::int64_t x_stride;
    Y* y;
    std::int64_t y_stride, rows, columns;
    bool accumulate;
};

template <int N, class X, class Y>
__global__ void copy_columns_kernel(Copy<X, Y> c) {
    const Place at = place_of<N>(c.columns);
    if (at.row >= c.rows) return;
    Several<N> value = load_several<N>(c.x + at.row * c.x_stride + at.column);
    Y* const to = c.y + at.row * c.y_stride + at.column;
    if (c.accumulate) {  // not y * 0 + x: y may hold anything, NaN included
        const Several<N> before = load_several<N>(to);
        for (int n = 0; n < N; ++n) value.of[n] += before.of[n];
    }
    store_several(to, value);
}

}  // namespace

void copy_columns(const CopyColumns& args) {
    for_storage("copy_columns", args.x.dtype, [&](auto zero_of_x) {
        for_storage("copy_columns", args.y.dtype, [&](auto zero_of_y) {
            using X = decltype(zero_of_x);
            using Y = decltype(zero_of_y);
            const Copy<X, Y> c = {.x = args.x.as<X>(),
                                  .x_stride = args.x.strides[0],
                                  .y = args.y.as<Y>(),
                                  .y_stride = args.y.strides[0],
                                  .rows = args.x.shape[0],
                                  .columns = args.x.shape[1],
                                  .accumulate = args.accumulate};
            for_width({args.x, args.y}, [&](auto width) {
                launch(one_thread_for<width>("copy_columns", c.rows, c.columns), copy_columns_kernel<width, X, Y>, c);
            });
        });
    });
}

}  // namespace locus::LOCUS_TARGET
