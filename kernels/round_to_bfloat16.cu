// Rounding on a GPU: a thread for each eight elements; storing a bfloat16_t rounds (gpu.h). Shapes: round_to_bfloat16.h.
//
// bytes    4 read and 2 written per element, or 4 written
// flop     none, but one conversion
// bound    memory

#include "kernels/round_to_bfloat16.h"

#include "kernels/gpu_vector.h"

namespace locus::LOCUS_TARGET {
namespace {

template <int N, class Stored>
__global__ void round_to_bfloat16_kernel(const float* x, std::int64_t stride, Stored* y, std::int64_t rows,
                                         std::int64_t columns) {
    const Place at = place_of<N>(columns);
    if (at.row >= rows) return;
    Several<N> v = load_several<N>(x + at.row * stride + at.column);
    for (float& one : v.of) one = as_stored<bfloat16_t>(one);
    store_several(y + at.row * columns + at.column, v);
}

template <class Stored>
void round_rows(const Tensor& x, const Tensor& y) {
    const std::int64_t rows = x.shape[0], columns = x.shape[1];
    for_width({x, y}, [&](auto width) {
        launch(one_thread_for<width>("round_to_bfloat16", rows, columns), round_to_bfloat16_kernel<width, Stored>,
               x.as<float>(), x.strides[0], y.as<Stored>(), rows, columns);
    });
}

}  // namespace

void round_to_bfloat16(const RoundToBfloat16& args) {
    for_storage("round_to_bfloat16", args.y.dtype, [&](auto zero) { round_rows<decltype(zero)>(args.x, args.y); });
}

}  // namespace locus::LOCUS_TARGET
