#pragma once
// T5's buckets of distances, for the encodings that have a number per bucket: t5_bias.cpp has the formula.

#include <vector>

#include "kernels/tensor.h"
#include "model/autograd/tape.h"

namespace locus {

struct T5Buckets {
    std::int64_t buckets, max_distance;

    /// Throws ModelError naming the encoding when there are no such buckets.
    void check(const char* encoding) const;
    std::int64_t of(std::int64_t key_minus_query) const;
    /// Which buckets sequences of `length` tokens use; the one of distance 0 to the right, which no pair has, counts as used.
    std::vector<bool> reached(std::int64_t length) const;
    /// For each distance query minus key from -reach to reach: int32 [2 reach + 1].
    Tensor by_distance(Tape& tape, std::int64_t reach) const;
};

}  // namespace locus
