#pragma once
// Linear recurrences along sequences, many channels side by side:  state_t = keep_t state_{t-1} + add_t,  state_{-1} = 0.
//
// Steps that follow each other are one linear step themselves, so a sequence need not be walked from end to end. A block of threads has 32 channels of
// one sequence and cuts it into 16 pieces; each thread has one channel of one piece:
//
//   1. what the piece as a whole does to a state: its keep and its add
//   2. the state that the piece begins with: the earlier pieces, one after the other, from 0
//   3. the piece's steps, now from the right state
//
// order    of all products and sums fixed by the length of the sequence alone
// cost     every step is taken twice, and 16 times as many threads take them

#include "kernels/gpu.h"

namespace locus::LOCUS_TARGET {

constexpr unsigned scan_pieces = 16, scan_threads = warp_size * scan_pieces;

/// A block for each sequence and 32 channels.
inline Launch scan_launch(const char* op, std::int64_t sequences, std::int64_t channels) {
    return {op, {static_cast<unsigned>(sequences), blocks_for(channels, warp_size), 1}, {warp_size, scan_pieces, 1}};
}
/// The thread's channel; those past the last one take part in a scan with no steps.
__device__ inline std::int64_t scan_channel() {
    return static_cast<std::int64_t>(blockIdx.y) * warp_size + threadIdx.x;
}

template <class State>
struct LinearStep {
    State keep, add;
};

/// Takes the thread's steps out of 0 .. length - 1. `steps` has
///     LinearStep<State> linear(t)       what step t does to a state
///     State step(t, state)              step t itself: may write; returns the state after it
/// All threads of the block have to come. State: a plain number, `one` its one.
template <class State, class Steps>
__device__ void scan(Steps& steps, std::int64_t length, State one) {
    __shared__ LinearStep<State> whole[scan_pieces][warp_size];
    const std::int64_t per_piece = (length + scan_pieces - 1) / scan_pieces, first = threadIdx.y * per_piece;
    const std::int64_t begin = first < length ? first : length, last = begin + per_piece;
    const std::int64_t end = last < length ? last : length;

    LinearStep<State> piece = {one, State{}};
    for (std::int64_t t = begin; t < end; ++t) {
        const LinearStep<State> next = steps.linear(t);
        piece = {next.keep * piece.keep, next.keep * piece.add + next.add};
    }
    whole[threadIdx.y][threadIdx.x] = piece;
    __syncthreads();

    State state{};
    for (unsigned p = 0; p < threadIdx.y; ++p) {
        const LinearStep<State> earlier = whole[p][threadIdx.x];
        state = earlier.keep * state + earlier.add;
    }
    for (std::int64_t t = begin; t < end; ++t) state = steps.step(t, state);
}

/// Sum of a channel's values over the pieces, in their order; every thread gets it.
__device__ inline float sum_of_pieces(float value) {
    __shared__ float of_piece[scan_pieces][warp_size];
    __syncthreads();  // the last sum has been read
    of_piece[threadIdx.y][threadIdx.x] = value;
    __syncthreads();
    float sum = 0;
    for (unsigned p = 0; p < scan_pieces; ++p) sum += of_piece[p][threadIdx.x];
    return sum;
}

}  // namespace locus::LOCUS_TARGET
