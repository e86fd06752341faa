// Rotary position embedding on a GPU: a block of threads for each row, a thread for each pair of channels. One read and one write per element of a pair;
// the tables stay in the cache: memory bound.

#include "kernels/rotary.h"

#include "kernels/gpu.h"

namespace locus::LOCUS_TARGET {
namespace {

// Where things lie: head h's pair c is the channels h head_dim + step c and the one that is `apart` from it.
struct Layout {
    std::int64_t width, heads, head_dim, pairs, step, apart;
};

struct Angles {
    const std::int32_t* positions;
    const float *cosines, *sines;
    std::int64_t longest;
    float sign;  // -1 turns back
};

template <class T>
__global__ void rotary_kernel(T* x, Layout layout, Angles angles, int* faults) {
    const std::int64_t row = blockIdx.x, position = angles.positions[row];
    if (position < 0 || position >= angles.longest) return raise(faults, Fault::rotary_position);
    for (std::int64_t n = threadIdx.x; n < layout.heads * layout.pairs; n += blockDim.x) {
        const std::int64_t head = n / layout.pairs, pair = n % layout.pairs;
        T* const at_a = x + row * layout.width + head * layout.head_dim + layout.step * pair;
        T* const at_b = at_a + layout.apart;
        const float a = load(at_a), b = load(at_b);
        const float cosine = angles.cosines[position * layout.pairs + pair],
                    sine = angles.sign * angles.sines[position * layout.pairs + pair];
        store(at_a, a * cosine - b * sine);
        store(at_b, a * sine + b * cosine);
    }
}

}  // namespace

void rotary(const Rotary& args) {
    const std::int64_t pairs = args.cosines.shape[1];
    const Layout layout = {.width = args.x.shape[1],
                           .heads = args.columns / args.head_dim,
                           .head_dim = args.head_dim,
                           .pairs = pairs,
                           .step = args.interleaved ? 2 : 1,
                           .apart = args.interleaved ? 1 : pairs};
    const Angles angles = {.positions = args.positions.as<std::int32_t>(),
                           .cosines = args.cosines.as<float>(),
                           .sines = args.sines.as<float>(),
                           .longest = args.cosines.shape[0],
                           .sign = args.inverse ? -1.0F : 1.0F};
    for_storage("rotary", args.x.dtype, [&](auto zero) {
        using T = decltype(zero);
        launch(one_block_each("rotary", args.x.shape[0]), rotary_kernel<T>, args.x.as<T>(), layout, angles, faults());
    });
}

}  // namespace locus::LOCUS_TARGET
