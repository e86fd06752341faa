#include "kernels/attention_choice.h"

namespace locus {

std::string describe_attention(DType dtype, std::int64_t head_dim) {
    const std::string what = std::string(name_of(dtype)) + ", heads of " + std::to_string(head_dim);
    if (dtype != DType::bfloat16)
        return "attention by plain kernels (" + what + "): tensor cores are used for bfloat16 only";
    if (!fits_tensor_cores(head_dim))
        return "attention by plain kernels (" + what + "): tensor cores are used for heads of 32, 64 or 128";
    return "attention on tensor cores (" + what + ")";
}

}  // namespace locus
