// Columns from one matrix to another on a GPU: a block of threads for each row. One read (two when adding) and one write per element.
// x and y may be stored differently.

#include "kernels/copy_columns.h"

#include "kernels/gpu.h"

namespace locus::LOCUS_TARGET {
namespace {

template <class X, class Y>
__global__ void copy_columns_kernel(const X* x, std::int64_t x_stride, Y* y, std::int64_t y_stride,
                                    std::int64_t columns, bool accumulate) {
    const std::int64_t row = blockIdx.x;
    for (std::int64_t c = threadIdx.x; c < columns; c += blockDim.x) {
        const float value = load(x + row * x_stride + c);
        Y* const to = y + row * y_stride + c;
        store(to, accumulate ? load(to) + value : value);  // not y * 0 + x: y may hold anything, NaN included
    }
}

}  // namespace

void copy_columns(const CopyColumns& args) {
    for_storage("copy_columns", args.x.dtype, [&](auto zero_of_x) {
        for_storage("copy_columns", args.y.dtype, [&](auto zero_of_y) {
            using X = decltype(zero_of_x);
            using Y = decltype(zero_of_y);
            launch(one_block_each("copy_columns", args.x.shape[0]), copy_columns_kernel<X, Y>, args.x.as<X>(),
                   args.x.strides[0], args.y.as<Y>(), args.y.strides[0], args.x.shape[1], args.accumulate);
        });
    });
}

}  // namespace locus::LOCUS_TARGET
