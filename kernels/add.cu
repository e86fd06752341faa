// y += x on a GPU: a thread for each eight elements. Shapes: add.h.
//
// bytes    two reads and one write per element: 12 in float32, 6 in bfloat16
// flop     1
// bound    memory, 0.1 to 0.2 flop per byte

#include "kernels/add.h"

#include "kernels/gpu_vector.h"

namespace locus::LOCUS_TARGET {
namespace {

template <int N, class T>
__global__ void add_kernel(const T* x, T* y, std::int64_t count) {
    const std::int64_t i = N * index_in_grid();
    if (i >= count) return;
    const Several<N> addend = load_several<N>(x + i);
    Several<N> sum = load_several<N>(y + i);
    for (int n = 0; n < N; ++n) sum.of[n] += addend.of[n];
    store_several(y + i, sum);
}

}  // namespace

void add(const Add& args) {
    const Tensor x = args.x.reshape({args.x.count()}), y = args.y.reshape({args.y.count()});
    for_storage("add", x.dtype, [&](auto zero) {
        using T = decltype(zero);
        for_width({x, y}, [&](auto width) {
            launch(one_thread_for<width>("add", 1, x.count()), add_kernel<width, T>, x.as<T>(), y.as<T>(), x.count());
        });
    });
}

}  // namespace locus::LOCUS_TARGET
