// Selected rows on a GPU: a thread for each eight elements. An index is compared with the one before it, so no two threads write to the same place.
// Formula, shapes: gather_rows.h.
//
// bytes    one read and one write per selected element, 8 in float32, 4 in bfloat16; backward also one write per element of dx, the zeros
// flop     none, or 1 when adding
// bound    memory

#include "kernels/gather_rows.h"

#include "kernels/gpu_vector.h"

namespace locus::LOCUS_TARGET {
namespace {

struct Indices {
    const std::int32_t* row;
    std::int64_t count, rows;

    __device__ bool is_good(std::int64_t m) const {
        return row[m] >= 0 && row[m] < rows && (m == 0 || row[m] > row[m - 1]);
    }
};

template <int N, class T>
__global__ void gather_rows_forward_kernel(const T* x, Indices indices, T* y, std::int64_t columns, int* faults) {
    const Place at = place_of<N>(columns);
    if (at.row >= indices.count) return;
    if (!indices.is_good(at.row)) return raise(faults, Fault::gather_index);
    store_several(y + at.row * columns + at.column, load_several<N>(x + indices.row[at.row] * columns + at.column));
}

template <int N, class T>
__global__ void gather_rows_backward_kernel(const T* dy, Indices indices, T* dx, std::int64_t columns, bool accumulate,
                                            int* faults) {
    const Place at = place_of<N>(columns);
    if (at.row >= indices.count) return;
    if (!indices.is_good(at.row)) return raise(faults, Fault::gather_index);
    Several<N> value = load_several<N>(dy + at.row * columns + at.column);
    T* const to = dx + indices.row[at.row] * columns + at.column;
    if (accumulate) {
        const Several<N> before = load_several<N>(to);
        for (int n = 0; n < N; ++n) value.of[n] += before.of[n];
    }
    store_several(to, value);
}

}  // namespace

void gather_rows_forward(const GatherRowsForward& args) {
    const Indices indices = {args.indices.as<std::int32_t>(), args.y.shape[0], args.x.shape[0]};
    const std::int64_t columns = args.x.shape[1];
    for_storage("gather_rows", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
        for_width({args.x, args.y}, [&](auto width) {
            launch(one_thread_for<width>("gather_rows", indices.count, columns), gather_rows_forward_kernel<width, T>,
                   args.x.as<T>(), indices, args.y.as<T>(), columns, faults());
        });
    });
}

void gather_rows_backward(const GatherRowsBackward& args) {
    const Indices indices = {args.indices.as<std::int32_t>(), args.dy.shape[0], args.dx.shape[0]};
    const std::int64_t columns = args.dx.shape[1];
    if (!args.accumulate) device_functions.zero(args.dx.data, static_cast<std::size_t>(args.dx.bytes()));
    for_storage("gather_rows", args.dx.dtype, [&](auto zero) {
        using T = decltype(zero);
        for_width({args.dy, args.dx}, [&](auto width) {
            launch(one_thread_for<width>("gather_rows", indices.count, columns), gather_rows_backward_kernel<width, T>,
                   args.dy.as<T>(), indices, args.dx.as<T>(), columns, args.accumulate, faults());
        });
    });
}

}  // namespace locus::LOCUS_TARGET
