// Selected rows on a GPU: a block of threads for each of them. An index is compared with the one before it, so no two blocks write to the same row.
//
// bytes    forward one read and one write per selected element; backward the same, and zeros for all of dx first

#include "kernels/gather_rows.h"

#include "kernels/gpu.h"

namespace locus::LOCUS_TARGET {
namespace {

struct Indices {
    const std::int32_t* row;
    std::int64_t rows;

    __device__ bool is_good(std::int64_t m) const {
        return row[m] >= 0 && row[m] < rows && (m == 0 || row[m] > row[m - 1]);
    }
};

template <class T>
__global__ void gather_rows_forward_kernel(const T* x, Indices indices, T* y, std::int64_t columns, int* faults) {
    const std::int64_t m = blockIdx.x;
    if (!indices.is_good(m)) return raise(faults, Fault::gather_index);
    const T* const from = x + indices.row[m] * columns;
    for (std::int64_t c = threadIdx.x; c < columns; c += blockDim.x) y[m * columns + c] = from[c];
}

template <class T>
__global__ void gather_rows_backward_kernel(const T* dy, Indices indices, T* dx, std::int64_t columns, bool accumulate,
                                            int* faults) {
    const std::int64_t m = blockIdx.x;
    if (!indices.is_good(m)) return raise(faults, Fault::gather_index);
    T* const to = dx + indices.row[m] * columns;
    for (std::int64_t c = threadIdx.x; c < columns; c += blockDim.x) {
        const float value = load(dy + m * columns + c);
        store(to + c, accumulate ? load(to + c) + value : value);
    }
}

}  // namespace

void gather_rows_forward(const GatherRowsForward& args) {
    const Indices indices = {args.indices.as<std::int32_t>(), args.x.shape[0]};
    for_storage("gather_rows", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
        launch(one_block_each("gather_rows", args.y.shape[0]), gather_rows_forward_kernel<T>, args.x.as<T>(), indices,
               args.y.as<T>(), args.x.shape[1], faults());
    });
}

void gather_rows_backward(const GatherRowsBackward& args) {
    const Indices indices = {args.indices.as<std::int32_t>(), args.dx.shape[0]};
    for_storage("gather_rows", args.dx.dtype, [&](auto zero) {
        using T = decltype(zero);
        if (!args.accumulate) device_functions.zero(args.dx.data, static_cast<std::size_t>(args.dx.bytes()));
        launch(one_block_each("gather_rows", args.dy.shape[0]), gather_rows_backward_kernel<T>, args.dy.as<T>(),
               indices, args.dx.as<T>(), args.dx.shape[1], args.accumulate, faults());
    });
}

}  // namespace locus::LOCUS_TARGET
