// Dropout on a GPU: a thread for each eight elements, whose mask is one Philox call. Definition, shapes: dropout.h, mask: gpu_dropout.h.
//
// bytes    one read and one write per element: 8 in float32, 4 in bfloat16
// flop     1, and some 15 integer operations: a Philox call is 80 of them, and eight comparisons
// bound    memory; in bfloat16 4 operations per byte, a third of what a GPU has time for

#include "kernels/dropout.h"

#include "kernels/gpu_dropout.h"

namespace locus::LOCUS_TARGET {
namespace {

template <int N, class T>
__global__ void dropout_kernel(const T* x, T* y, std::int64_t rows, std::int64_t columns, DropoutOfRows dropout) {
    const Place at = place_of<N>(columns);
    if (at.row >= rows) return;
    Several<N> v = load_several<N>(x + at.row * columns + at.column);
    dropout.apply(at.row, at.column, v);
    store_several(y + at.row * columns + at.column, v);
}

}  // namespace

void dropout_forward(const DropoutForward& args) {
    const std::int64_t rows = args.x.shape[0], columns = args.x.shape[1];
    const DropoutOfRows dropout = dropout_of_rows("dropout", args.dropout, args.rows);
    for_storage("dropout", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
        for_width({args.x, args.y}, [&](auto width) {
            launch(one_thread_for<width>("dropout", rows, columns), dropout_kernel<width, T>, args.x.as<T>(),
                   args.y.as<T>(), rows, columns, dropout);
        });
    });
}

}  // namespace locus::LOCUS_TARGET
