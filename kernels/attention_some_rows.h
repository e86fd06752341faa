#pragma once
// Attention whose queries are only some rows of their sequences, as the masked ones (15 %) are in DeBERTa's enhanced mask decoder. Their positions do not
// run on: 64 of them and 64 keys would see far more than the 127 distances of a tile (gpu_attention_tile.h). So each gets the slot of the key at its position:
//
//     keys      0  1  2  3  4  5  6  7  8
//     queries      a        b     c
//     slots     .  a  .  .  b  .  c  .  .        empty: q = dout = out = 0 and log_sum_exp = infinity, hence P = dS = 0, which adds nothing to any gradient
//
// Attention runs over the slots, whose positions run on, as over any queries. Then the results of the queries are taken out.
//
//   slots    of a sequence: as many as keys; none without queries. Where keys do not run on, or queries do not stand among them in rising order (random
//            positions), the queries themselves, closed up. Only the device knows which: there is memory for q_rows + k_rows, the last of which may belong to
//            no sequence
//   bytes    q and out forward, q, dout, out and dq backward, each written and read once more: 24 k_rows heads head_dim in bfloat16. DeBERTa-base on
//            16,384 tokens: 0.3 GB, 0.1 ms at 3 TB/s
//   flop     as with a query for each key: for 15 % that is 7 times the flop of the queries alone, but all on tensor cores, and S^2 as in any other layer
//   memory   arena: forward 2, backward 4 of (q_rows + k_rows) heads head_dim

#include <functional>

#include "kernels/attention_check.h"

namespace locus::LOCUS_TARGET {

/// Whether there are fewer queries than keys, and something depends on their distance.
template <class Args>
bool queries_are_some_rows(const Args& args) {
    return args.q.shape[0] < args.k.shape[0] && uses_positions(args.terms);
}

/// Calls `attend` with the queries in slots, then moves what it has computed to where `args` wants it. Takes memory from args.arena meanwhile.
void with_queries_in_slots(const AttentionForward& args, const std::function<void(const AttentionForward&)>& attend);
void with_queries_in_slots(const AttentionBackward& args, const std::function<void(const AttentionBackward&)>& attend);

}  // namespace locus::LOCUS_TARGET
