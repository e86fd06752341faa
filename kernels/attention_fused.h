#pragma once
// Attention on tensor cores: for operands in bfloat16, in tiles of 64 queries and 64 keys. The plain kernels (attention.cu) do the rest.

#include <cstdint>

#include "kernels/attention.h"
#include "kernels/gpu.h"

namespace locus::LOCUS_TARGET {

/// Whether rows begin where four numbers can be read at once.
inline bool begins_at_fours(const Tensor& x) {
    return !x || (reinterpret_cast<std::uintptr_t>(x.data) % (4 * static_cast<std::uintptr_t>(size_of(x.dtype))) == 0 &&
                  x.strides[0] % 4 == 0 && x.strides[1] % 4 == 0);
}

/// What forward and backward ask of the operands that they share.
template <class Args>
bool is_fusable(const Args& args) {
    const std::int64_t head_dim = args.q.shape[2];
    const AttentionTerms& terms = args.terms;
    const Tensor read_by_fours[] = {
        args.q, args.k, args.value, terms.key_table.rows, terms.query_table.rows, terms.value_table.rows,
    };
    bool aligned = true;
    for (const Tensor& x : read_by_fours) aligned = aligned && begins_at_fours(x);
    return (args.bfloat16 || args.q.dtype == DType::bfloat16) &&
           (head_dim == 32 || head_dim == 64 || head_dim == 128) && !terms.channels[0] && !terms.channels[1] &&
           !terms.channels[2] && aligned;
}

void attention_fused_forward(const AttentionForward& args);
/// dq, dk and dvalue, not the gradients of the terms.
void attention_fused_backward(const AttentionBackward& args);

}  // namespace locus::LOCUS_TARGET
