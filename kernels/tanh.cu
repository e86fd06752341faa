// The hyperbolic tangent on a GPU: a thread for each element. Formula, shapes: tanh.h.
//
// bytes    forward one read and one write, backward two reads and one write: 8 and 12 in float32, 4 and 6 in bfloat16
// flop     some 20 forward, 3 backward
// bound    memory, in bfloat16 with one number to a thread perhaps at half of its speed: this is for small tensors

#include "kernels/tanh.h"

#include "kernels/gpu.h"

namespace locus::LOCUS_TARGET {
namespace {

template <class T>
__global__ void tanh_forward_kernel(const T* x, T* y, std::int64_t count) {
    const std::int64_t i = index_in_grid();
    if (i < count) store(y + i, tanhf(load(x + i)));
}

template <class T>
__global__ void tanh_backward_kernel(const T* dy, const T* y, T* dx, std::int64_t count) {
    const std::int64_t i = index_in_grid();
    if (i >= count) return;
    const float tanh = load(y + i);
    store(dx + i, load(dy + i) * (1.0F - tanh * tanh));
}

}  // namespace

void tanh_forward(const TanhForward& args) {
    for_storage("tanh", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
        const std::int64_t count = args.x.count();
        launch(one_thread_each("tanh", count), tanh_forward_kernel<T>, args.x.as<T>(), args.y.as<T>(), count);
    });
}

void tanh_backward(const TanhBackward& args) {
    for_storage("tanh", args.y.dtype, [&](auto zero) {
        using T = decltype(zero);
        const std::int64_t count = args.y.count();
        launch(one_thread_each("tanh", count), tanh_backward_kernel<T>, args.dy.as<T>(), args.y.as<T>(),
               args.dx.as<T>(), count);
    });
}

}  // namespace locus::LOCUS_TARGET
