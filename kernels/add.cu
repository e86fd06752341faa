// y += x on a GPU: a thread for each element; two reads and one write, memory bound.

#include "kernels/add.h"

#include "kernels/gpu.h"

namespace locus::LOCUS_TARGET {
namespace {

template <class T>
__global__ void add_kernel(const T* x, T* y, std::int64_t count) {
    const std::int64_t i = index_in_grid();
    if (i < count) store(y + i, load(y + i) + load(x + i));
}

}  // namespace

void add(const Add& args) {
    for_storage("add", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
        launch(one_thread_each("add", args.x.count()), add_kernel<T>, args.x.as<T>(), args.y.as<T>(), args.x.count());
    });
}

}  // namespace locus::LOCUS_TARGET
