#pragma once
// Looking on while a model computes: the places where positions enter, for those who explain or draw them. Without a visitor nothing is kept and nothing
// is computed for it.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/attention.h"

namespace locus {

/// An attention that has just been computed; its tensors are valid during the call.
struct ComputedAttention {
    std::int64_t layer = 0;
    std::int64_t pass = 0;          // of an enhanced mask decoder over this layer, from 0
    AttentionForward forward = {};  // what the kernel read, and its out and log_sum_exp
    // Queries and keys before any encoding rotated them, shaped like forward.q and forward.k; the same memory where none did.
    Tensor unrotated_q = {}, unrotated_k = {};
    // Which encoding, by its number in ModelSettings::position, each bias and each list of channels of forward.terms is from.
    std::vector<std::size_t> bias_encodings = {}, channel_encodings = {};
};

/// Functions to be called during a forward pass; an absent one is not.
struct ForwardVisitor {
    /// Encoding `number` has run over the embeddings: [rows, embedding_size] before and after.
    std::function<void(std::size_t number, const Tensor& before, const Tensor& after)> embedded;
    std::function<void(const ComputedAttention& computed)> attended;
};

}  // namespace locus
