// Dropout on a GPU: a block of threads for each row. Definition: dropout.h, mask: gpu_dropout.h.
//
// bytes    one read and one write per element; a Philox call, some hundred integer instructions, for eight of them

#include "kernels/dropout.h"

#include "kernels/gpu_dropout.h"

namespace locus::LOCUS_TARGET {
namespace {

template <class T>
__global__ void dropout_kernel(const T* x, T* y, std::int64_t columns, DropoutOfRows dropout) {
    const std::int64_t row = blockIdx.x, at = row * columns;
    auto* const mask = shared_memory<std::uint8_t>();
    dropout.draw(row, columns, mask);
    for (std::int64_t c = threadIdx.x; c < columns; c += blockDim.x)
        store(y + at + c, dropout.apply(mask, c, load(x + at + c)));
}

}  // namespace

void dropout_forward(const DropoutForward& args) {
    const std::int64_t rows = args.x.shape[0], columns = args.x.shape[1];
    const DropoutOfRows dropout = dropout_of_rows("dropout", args.dropout, args.rows);
    for_storage("dropout", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
        launch(one_block_each_with_mask("dropout", rows, columns), dropout_kernel<T>, args.x.as<T>(), args.y.as<T>(),
               columns, dropout);
    });
}

}  // namespace locus::LOCUS_TARGET
