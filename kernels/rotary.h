#pragma once
// Rotary position embedding: pairs of channels of each head turned by an angle that grows with the position.
//
//   forward    (y_a, y_b) = (x_a cos t - x_b sin t, x_a sin t + x_b cos t),  t = angle[position, pair]
//   backward   the same with -t: a rotation's transpose is its inverse
//
// A head of head_dim channels has P pairs, P <= head_dim / 2; channels that are in no pair stay. Pair c is the channels
//   half_split   (c, c + P)          as GPT-NeoX and Hugging Face store them
//   interleaved  (2 c, 2 c + 1)      as the paper writes them
// The two are the same up to the order of the channels.
//
// shapes   x: [rows, C], turned where it stands; the first `columns` of them, a multiple of head_dim, are heads to turn, the rest is
//          not touched   positions: int32 [rows]   cosines, sines: [longest, P], like x on the processor, float32 on a GPU
// errors   a position outside [0, longest) throws std::out_of_range
// cost     one read and one write per element of a pair, 6 flop per pair: memory bound
// paper    Su et al. 2021, arXiv:2104.09864

#include "kernels/tensor.h"

namespace locus {

struct Rotary {
    Tensor x;  // in and out: y takes its place
    Tensor positions, cosines, sines;
    std::int64_t columns = 0, head_dim = 0;
    bool interleaved = false;
    bool inverse = false;  // turn back
};
void rotary(const Rotary& args);

}  // namespace locus
