#pragma once
// Attention on tensor cores: for operands in bfloat16, in tiles of 64 queries and 64 keys. The plain kernels (attention.cu) do the rest.

#include <cstddef>
#include <cstdint>

#include "kernels/attention.h"
#include "kernels/attention_choice.h"
#include "kernels/gpu.h"

namespace locus::LOCUS_TARGET {

/// Whether rows begin at multiples of 16 bytes, which are moved at once.
inline bool begins_at_16_bytes(const Tensor& x) {
    const auto step = static_cast<std::int64_t>(16 / size_of(x.dtype));
    return !x ||
           (reinterpret_cast<std::uintptr_t>(x.data) % 16 == 0 && x.strides[0] % step == 0 && x.strides[1] % step == 0);
}

/// Of shared memory that the largest of the kernels asks for: heads of 128 with tables are too much for a card that has 99 KB (compute capability 8.6, 8.9).
std::size_t most_shared_bytes_of_fused(std::int64_t head_dim, const AttentionTerms& terms);

/// What forward and backward ask of the operands that they share.
template <class Args>
bool is_fusable(const Args& args) {
    const std::int64_t head_dim = args.q.shape[2];
    const AttentionTerms& terms = args.terms;
    const Tensor moved_by_16_bytes[] = {
        args.q, args.k, args.value, terms.key_table.rows, terms.query_table.rows, terms.value_table.rows,
    };
    bool aligned = true;
    for (const Tensor& x : moved_by_16_bytes) aligned = aligned && begins_at_16_bytes(x);
    return (args.bfloat16 || args.q.dtype == DType::bfloat16) && fits_tensor_cores(head_dim) && aligned &&
           most_shared_bytes_of_fused(head_dim, terms) <= most_shared_bytes();
}

/// How many rows of x a sequence has at most.
inline std::int64_t longest_of(const AttentionRows& rows, const Tensor& x) {
    return rows.longest > 0 ? rows.longest : x.shape[0];
}

void attention_fused_forward(const AttentionForward& args);
/// dq, dk, dvalue and the gradients of channels; and the gradients of the terms, as far as regular sequences go.
void attention_fused_backward(const AttentionBackward& args);

// ---- gradients of the terms: attention_fused_terms.cu ----

/// Marks [sequences] with 1 where a sequence is regular: its queries and keys begin at the same position and run on from there, or nothing depends on
/// positions; and with 0 where it is not.
void mark_regular_sequences(const AttentionBackward& args, std::int32_t* regular);

/// How the work is cut up, and where the parts of its memory begin, in words of 4 bytes.
struct FusedTerms {
    std::int64_t tiles = 0;   // of the longest sequence
    std::int64_t groups = 0;  // of sequences
    std::int64_t regular = 0, of_row = 0, bands = 0, pairs = 0, sums = 0, sums_of_pairs = 0;
    std::int64_t end = 0;  // 0: nobody asks for a gradient
};
FusedTerms plan_fused_terms(const AttentionBackward& args);

/// Adds what regular sequences contribute to the gradients of the terms. `weighted_sum`: D, [q_rows, heads]; `memory`: as planned.
void attention_fused_terms(const AttentionBackward& args, const FusedTerms& plan, const float* weighted_sum,
                           float* memory);

}  // namespace locus::LOCUS_TARGET
