// Neighbours on a GPU: a block of threads for each row, which looks its neighbours up once and then copies their columns (forward) or adds them up
// (backward). Formula and shapes: unfold.h.
//
// bytes    C + C width numbers per row either way
// flop     none forward, C width per row backward
// bound    memory. Threads write neighbours one by one; what they read lies C numbers apart, in rows that the cache has

#include "kernels/unfold.h"

#include "kernels/gpu_sequences.h"

namespace locus::LOCUS_TARGET {
namespace {

// The row of a sequence that stands `apart` positions from row r, or -1. It is at most that many rows away.
__device__ std::int64_t neighbour(const std::int32_t* position, SequenceRows rows, std::int64_t r, std::int64_t apart) {
    const std::int64_t step = apart < 0 ? -1 : 1;
    for (std::int64_t row = r; row >= rows.begin && row < rows.end; row += step) {
        const std::int64_t gone = step * (position[row] - position[r]);
        if (gone == step * apart) return row;
        if (gone > step * apart) return -1;
    }
    return -1;
}

struct Batch {
    Sequences sequences;
    const std::int32_t* positions;
    int columns, width;  // int, because dividing by an int64 takes long on a GPU
};

Batch batch_of(const AttentionRows& rows, std::int64_t columns, std::int64_t width) {
    return {sequences_of(rows), rows.positions.as<std::int32_t>(), static_cast<int>(columns), static_cast<int>(width)};
}

// For each tap the row `direction` times as far away as the tap is from the middle. All threads of the block call it and may read what it returns.
__device__ const std::int64_t* taps_of_row(const Batch& batch, std::int64_t row, int direction) {
    auto* const taps = shared_memory<std::int64_t>();
    const SequenceRows rows = batch.sequences.around(row);
    for (int t = static_cast<int>(threadIdx.x); t < batch.width; t += static_cast<int>(blockDim.x))
        taps[t] = neighbour(batch.positions, rows, row, direction * (t - (batch.width - 1) / 2));
    __syncthreads();
    return taps;
}

template <class T>
__global__ void unfold_forward_kernel(Batch batch, const T* x, T* y) {
    const std::int64_t row = blockIdx.x;
    const std::int64_t* const taps = taps_of_row(batch, row, 1);
    const int numbers = batch.columns * batch.width;
    for (int i = static_cast<int>(threadIdx.x); i < numbers; i += static_cast<int>(blockDim.x)) {
        const std::int64_t from = taps[i % batch.width];
        store(y + row * numbers + i, from < 0 ? 0.0F : load(x + from * batch.columns + i / batch.width));
    }
}

template <class T>
__global__ void unfold_backward_kernel(Batch batch, const T* dy, T* dx, bool accumulate) {
    const std::int64_t row = blockIdx.x;
    const std::int64_t* const taps = taps_of_row(batch, row, -1);
    for (int c = static_cast<int>(threadIdx.x); c < batch.columns; c += static_cast<int>(blockDim.x)) {
        T* const to = dx + row * batch.columns + c;
        float sum = accumulate ? load(to) : 0.0F;
        for (int t = 0; t < batch.width; ++t)
            if (taps[t] >= 0) sum += load(dy + (taps[t] * batch.columns + c) * batch.width + t);
        store(to, sum);
    }
}

Launch one_block_per_row(const char* op, std::int64_t rows, std::int64_t width) {
    return one_block_each(op, rows, threads_per_block, static_cast<std::size_t>(width) * sizeof(std::int64_t));
}

}  // namespace

void unfold_forward(const UnfoldForward& args) {
    const Batch batch = batch_of(args.rows, args.x.shape[1], args.width);
    for_storage("unfold", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
        launch(one_block_per_row("unfold", args.x.shape[0], args.width), unfold_forward_kernel<T>, batch,
               args.x.as<T>(), args.y.as<T>());
    });
}

void unfold_backward(const UnfoldBackward& args) {
    const Batch batch = batch_of(args.rows, args.dx.shape[1], args.width);
    for_storage("unfold_backward", args.dx.dtype, [&](auto zero) {
        using T = decltype(zero);
        launch(one_block_per_row("unfold_backward", args.dx.shape[0], args.width), unfold_backward_kernel<T>, batch,
               args.dy.as<T>(), args.dx.as<T>(), args.accumulate);
    });
}

}  // namespace locus::LOCUS_TARGET
