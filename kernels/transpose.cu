// y = x^T on a GPU: a block of threads carries a square tile by way of shared memory, so that neighbouring threads read neighbours and write neighbours.
// Shapes: transpose.h.
//
// bytes    one read (two when adding) and one write per element: 8 (12) in float32, 4 (6) in bfloat16
// flop     none, or 1
// bound    memory; in bfloat16 a warp moves but 64 bytes at a time. This is for small matrices, where the time is that of a launch

#include "kernels/transpose.h"

#include "kernels/gpu.h"

namespace locus::LOCUS_TARGET {
namespace {

constexpr unsigned tile_width = 32, threads_down = 8;

template <class T>
__global__ void transpose_kernel(const T* x, T* y, std::int64_t rows, std::int64_t columns, bool accumulate) {
    __shared__ float tile[tile_width][tile_width + 1];  // one wider: a column of it lies in 32 banks of the memory
    const std::int64_t first_row = static_cast<std::int64_t>(blockIdx.y) * tile_width,
                       first_column = static_cast<std::int64_t>(blockIdx.x) * tile_width;
    for (unsigned down = threadIdx.y; down < tile_width; down += threads_down) {
        const std::int64_t r = first_row + down, c = first_column + threadIdx.x;
        if (r < rows && c < columns) tile[down][threadIdx.x] = load(x + r * columns + c);
    }
    __syncthreads();
    for (unsigned down = threadIdx.y; down < tile_width; down += threads_down) {
        const std::int64_t r = first_row + threadIdx.x, c = first_column + down;
        if (r >= rows || c >= columns) continue;
        T* const to = y + c * rows + r;
        const float value = tile[threadIdx.x][down];
        store(to, accumulate ? load(to) + value : value);
    }
}

}  // namespace

void transpose(const Transpose& args) {
    const std::int64_t rows = args.x.shape[0], columns = args.x.shape[1];
    const Launch tiles = {
        "transpose", {blocks_for(columns, tile_width), blocks_for(rows, tile_width), 1}, {tile_width, threads_down, 1}};
    for_storage("transpose", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
        launch(tiles, transpose_kernel<T>, args.x.as<T>(), args.y.as<T>(), rows, columns, args.accumulate);
    });
}

}  // namespace locus::LOCUS_TARGET
