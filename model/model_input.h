#pragma once
// What a model reads: a ragged batch. There is no padding: sequences of different length lie one after the other.

#include "kernels/attention.h"
#include "kernels/dropout.h"
#include "kernels/tensor.h"

namespace locus {

struct ModelInput {
    Tensor ids;                     // int32 [rows]
    Tensor token_types = {};        // int32 [rows]; absent: all 0
    AttentionRows rows;             // offsets [sequences + 1], positions [rows]
    DropoutRows dropout_rows = {};  // needed in training only
    std::int64_t longest = 0;       // 1 + the largest position of the batch
};

/// The rows that the masked-LM head looks at, strictly increasing, and what should stand there; both int32 [masked].
struct MaskedTargets {
    Tensor rows, ids;
};

struct ForwardVisitor;

/// How to run: dropout is drawn from (seed, step) in training and off otherwise.
struct RunMode {
    bool training = false;
    std::uint32_t seed = 0;
    std::uint32_t step = 0;
    const ForwardVisitor* visitor = nullptr;  // looks on (forward_visitor.h)
};

}  // namespace locus
