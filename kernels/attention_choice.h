#pragma once
// Which of the two attentions of a GPU is taken: the one on tensor cores (attention_fused.h) or the plain one (attention.cu).

#include <cstdint>
#include <string>

#include "kernels/tensor.h"

namespace locus {

/// Channels of a head for which there are kernels on tensor cores.
constexpr bool fits_tensor_cores(std::int64_t head_dim) { return head_dim == 32 || head_dim == 64 || head_dim == 128; }

/// For logs: what a GPU does for rows of that dtype, and why when it is the plain one. Not thought of are rows that begin at odd addresses, which a model
/// does not have, and cards with too little shared memory for heads of 128 with tables (attention_fused.h).
std::string describe_attention(DType dtype, std::int64_t head_dim);

}  // namespace locus
