// Columns from one matrix to another on a GPU: a block of threads for each row. One read (two when adding) and one write per element.

#include "kernels/copy_columns.h"

#include "kernels/gpu.h"

namespace locus::LOCUS_TARGET {
namespace {

template <class T>
__global__ void copy_columns_kernel(const T* x, std::int64_t x_stride, T* y, std::int64_t y_stride,
                                    std::int64_t columns, bool accumulate) {
    const std::int64_t row = blockIdx.x;
    for (std::int64_t c = threadIdx.x; c < columns; c += blockDim.x) {
        const float value = load(x + row * x_stride + c);
        T* const to = y + row * y_stride + c;
        store(to, accumulate ? load(to) + value : value);  // not y * 0 + x: y may hold anything, NaN included
    }
}

}  // namespace

void copy_columns(const CopyColumns& args) {
    for_storage("copy_columns", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
        launch(one_block_each("copy_columns", args.x.shape[0]), copy_columns_kernel<T>, args.x.as<T>(),
               args.x.strides[0], args.y.as<T>(), args.y.strides[0], args.x.shape[1], args.accumulate);
    });
}

}  // namespace locus::LOCUS_TARGET
