// Rounding on a GPU: store() of a bfloat16_t does it (gpu.h). A block of threads for each row; one read and one write per element.

#include "kernels/round_to_bfloat16.h"

#include "kernels/gpu.h"

namespace locus::LOCUS_TARGET {
namespace {

template <class Stored>
__global__ void round_to_bfloat16_kernel(const float* x, std::int64_t stride, Stored* y, std::int64_t columns) {
    const std::int64_t row = blockIdx.x;
    for (std::int64_t c = threadIdx.x; c < columns; c += blockDim.x) {
        bfloat16_t rounded;
        store(&rounded, x[row * stride + c]);
        store(y + row * columns + c, load(&rounded));
    }
}

}  // namespace

void round_to_bfloat16(const RoundToBfloat16& args) {
    for_storage("round_to_bfloat16", args.y.dtype, [&](auto zero) {
        using T = decltype(zero);
        launch(one_block_each("round_to_bfloat16", args.x.shape[0]), round_to_bfloat16_kernel<T>, args.x.as<float>(),
               args.x.strides[0], args.y.as<T>(), args.x.shape[1]);
    });
}

}  // namespace locus::LOCUS_TARGET
