#pragma once
// Rows of a table, added up per token.
//
//   forward    y[t] = w[t] table[id[t]] (+ y[t])      (BERT: word + token type + position, in this order)
//   backward   dtable[r] += sum_{t : id[t] = r} w[t] dy[t]
//
// shapes   table, dtable: [entries, H]   ids: int32 [rows]   w: float64 [rows], 1 when absent   y, dy: [rows, H]
// order    the backward sorts the rows by id (a stable counting sort) and sums each entry's rows in row order: no atomics,
//          the same bits for any thread count. On a GPU in sums of up to 32 rows that are added up in order: the same bits on every run
// errors   an id outside [0, entries) throws std::out_of_range naming the row and the id, before anything is written; on a GPU its row is
//          skipped, and the next wait for the device throws
// cost     reads and writes rows * H elements

#include "kernels/memory.h"
#include "kernels/tensor.h"

namespace locus {

struct EmbeddingForward {
    Tensor table, ids, y;
    Tensor weights = {};
    bool accumulate = false;  // add to y instead of overwriting it
};
void embedding_forward(const EmbeddingForward& args);

struct EmbeddingBackward {
    Tensor dy, ids;
    Tensor weights = {};
    Tensor dtable;           // [entries, H], added to
    int skip_entry = -1;     // this entry gets no gradient: padding_idx of the reference models
    Arena* arena = nullptr;  // scratch for the sort
};
void embedding_backward(const EmbeddingBackward& args);

}  // namespace locus
