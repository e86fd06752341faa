// Attention on a GPU, plainly: for every shape and every term, in float32 arithmetic. A block of threads for each query row and head looks at its keys in
// tiles of 128: each thread computes the score of one key, then owns some of the output's channels and runs over the tile.
// What attention_fused.h can do goes there.
//
//   bytes    q once, k and value once per query: from the caches, where they fit
//   flop     as attention.h counts them, none of them on tensor cores
//   bound    the caches' rate: half a flop for each byte read from them, where tiles of 64 queries have 64
//   papers   Milakov and Gimelshein 2018 (online softmax)

#include "kernels/attention.h"

#include "kernels/attention_fused.h"
#include "kernels/gpu_attention_pair.h"

namespace locus::LOCUS_TARGET {
namespace {

/// out = out * correction + sum_j p_j (value_j + V[row_V(r)]) over a tile of keys; a thread owns its channels.
template <class T>
__device__ void add_values(const AttentionPairs<T>& pairs, std::int64_t query, std::int64_t head, Span keys,
                           const float* p, float correction, float* out) {
    for (std::int64_t c = threadIdx.x; c < pairs.head_dim; c += blockDim.x) {
        float sum = out[c] * correction;
        for (std::int64_t key = keys.begin; key < keys.end; ++key) {
            float value = load(pairs.value.of(key, head) + c);
            if (pairs.value_table.present()) value += pairs.value_table.vector(head, pairs.distance(query, key))[c];
            sum += p[key - keys.begin] * value;
        }
        out[c] = sum;
    }
}

template <class T>
__global__ void attention_forward_kernel(AttentionPairs<T> pairs, HeadRows<T> out, float* log_sum_exp) {
    __shared__ float p[tile_pairs];              // drop(exp(score - shift)) of a tile
    float* const sums = shared_memory<float>();  // [head_dim], of out
    const std::int64_t query = blockIdx.x / pairs.heads, head = blockIdx.x % pairs.heads;
    const Span keys = pairs.keys_of_query(query);
    for (std::int64_t c = threadIdx.x; c < pairs.head_dim; c += blockDim.x) sums[c] = 0;
    Softmax softmax;
    for (std::int64_t first = keys.begin; first < keys.end; first += tile_pairs) {
        const Span tile = {first, first + tile_pairs < keys.end ? first + tile_pairs : keys.end};
        const Pair mine = {query, first + threadIdx.x, head};
        const bool exists = mine.key < tile.end;
        const float score = exists ? pairs.score(mine) : -INFINITY;
        softmax.see(block_max(score));
        const float e = expf(score - softmax.shift);
        p[threadIdx.x] = exists ? e * pairs.kept(mine) : 0.0F;
        softmax.add(block_sum(e));
        __syncthreads();  // p is complete
        add_values(pairs, query, head, tile, p, softmax.correction, sums);
        __syncthreads();  // and has been read
    }
    const float factor = softmax.sum == 0 ? 0.0F : 1.0F / softmax.sum;
    for (std::int64_t c = threadIdx.x; c < pairs.head_dim; c += blockDim.x)
        store(out.of(query, head) + c, factor * sums[c]);
    if (threadIdx.x == 0) log_sum_exp[query * pairs.heads + head] = softmax.log_sum_exp();
}

template <class T>
void forward(const AttentionForward& args) {
    const char* const op = "attention_forward";
    const AttentionPairs<T> pairs(op, args);
    const auto shared_bytes = static_cast<std::size_t>(pairs.head_dim) * sizeof(float);
    launch(one_block_each(op, args.q.shape[0] * pairs.heads, tile_pairs, shared_bytes), attention_forward_kernel<T>,
           pairs, HeadRows<T>(args.out), args.log_sum_exp.as<float>());
}

}  // namespace

void attention_forward(const AttentionForward& args) {
    if (is_fusable(args)) return attention_fused_forward(args);
    for_storage("attention_forward", args.q.dtype, [&](auto zero) { forward<decltype(zero)>(args); });
}

}  // namespace locus::LOCUS_TARGET
