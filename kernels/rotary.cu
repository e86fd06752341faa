// Rotary position embedding on a GPU: a thread for each eight pairs of channels of a row, where the numbers of channels and pairs allow it, else for each
// one. Formula, shapes: rotary.h.
//
// bytes    one read and one write per element of a pair, 8 in float32, 4 in bfloat16; the tables stay in the cache
// flop     3 per element
// bound    memory, less than 1 flop per byte

#include "kernels/rotary.h"

#include "kernels/gpu_vector.h"

namespace locus::LOCUS_TARGET {
namespace {

// Where things lie: head h's pair c is the channels h head_dim + c and c + pairs, or, interleaved, h head_dim + 2 c and the next one. int, because
// dividing by an int64 takes long on a GPU.
struct Layout {
    std::int64_t rows, width;
    int heads, head_dim, pairs;
    bool interleaved;
};

struct Angles {
    const std::int32_t* positions;
    const float *cosines, *sines;
    std::int64_t longest;
    float sign;  // -1 turns back
};

// 2 N neighbours, of which every second goes with the one before it, as N and N, and back.
template <int N>
__device__ void take_apart(Several<N>& a, Several<N>& b) {
    Several<2 * N> all;
    for (int n = 0; n < N; ++n) {
        all.of[n] = a.of[n];
        all.of[N + n] = b.of[n];
    }
    for (int n = 0; n < N; ++n) {
        a.of[n] = all.of[2 * n];
        b.of[n] = all.of[2 * n + 1];
    }
}
template <int N>
__device__ void put_together(Several<N>& a, Several<N>& b) {
    Several<2 * N> all;
    for (int n = 0; n < N; ++n) {
        all.of[2 * n] = a.of[n];
        all.of[2 * n + 1] = b.of[n];
    }
    for (int n = 0; n < N; ++n) {
        a.of[n] = all.of[n];
        b.of[n] = all.of[N + n];
    }
}

template <int N, class T>
__global__ void rotary_kernel(T* x, Layout layout, Angles angles, int* faults) {
    const Place at = place_of<N>(static_cast<std::int64_t>(layout.heads) * layout.pairs);
    if (at.row >= layout.rows) return;
    const std::int64_t position = angles.positions[at.row];
    if (position < 0 || position >= angles.longest) return raise(faults, Fault::rotary_position);
    const int head = static_cast<int>(at.column) / layout.pairs, pair = static_cast<int>(at.column) % layout.pairs;
    T* const at_a = x + at.row * layout.width + head * layout.head_dim + (layout.interleaved ? 2 * pair : pair);
    T* const at_b = at_a + (layout.interleaved ? N : layout.pairs);
    Several<N> a = load_several<N>(at_a), b = load_several<N>(at_b);
    if (layout.interleaved) take_apart(a, b);
    const Several<N> cosine = load_several<N>(angles.cosines + position * layout.pairs + pair),
                     sine = load_several<N>(angles.sines + position * layout.pairs + pair);
    for (int n = 0; n < N; ++n) {
        const float from_a = a.of[n], from_b = b.of[n], turn = angles.sign * sine.of[n];
        a.of[n] = from_a * cosine.of[n] - from_b * turn;
        b.of[n] = from_a * turn + from_b * cosine.of[n];
    }
    if (layout.interleaved) put_together(a, b);
    store_several(at_a, a);
    store_several(at_b, b);
}

}  // namespace

void rotary(const Rotary& args) {
    if (args.columns == 0) return;
    const Layout layout = {.rows = args.x.shape[0],
                           .width = args.x.shape[1],
                           .heads = static_cast<int>(args.columns / args.head_dim),
                           .head_dim = static_cast<int>(args.head_dim),
                           .pairs = static_cast<int>(args.cosines.shape[1]),
                           .interleaved = args.interleaved};
    const Angles angles = {.positions = args.positions.as<std::int32_t>(),
                           .cosines = args.cosines.as<float>(),
                           .sines = args.sines.as<float>(),
                           .longest = args.cosines.shape[0],
                           .sign = args.inverse ? -1.0F : 1.0F};
    for_storage("rotary", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
        const Tensor head = args.x.slice(1, 0, args.head_dim);
        for_width({args.x, head, args.cosines, args.sines}, [&](auto width) {
            launch(one_thread_for<width>("rotary", layout.rows, static_cast<std::int64_t>(layout.heads) * layout.pairs),
                   rotary_kernel<width, T>, args.x.as<T>(), layout, angles, faults());
        });
    });
}

}  // namespace locus::LOCUS_TARGET
