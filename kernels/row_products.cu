// Products of pairs of rows on a GPU. Forward: a warp for each product. Backward: a thread for each number of da looks through all pairs for those of its
// row and adds them in their order; db the same with the roles exchanged. Formula, shapes: row_products.h.
//
// bytes    8 head_dim per product forward, from the cache, as rows occur in many pairs; backward 4 pairs for each row of a and b on top
// flop     forward 2 pairs heads head_dim, backward twice that
// bound    latency: made for tables of a thousand rows, not for batches. Backward looks at (rows of a + rows of b) pairs row numbers

#include "kernels/row_products.h"

#include "kernels/gpu.h"

namespace locus::LOCUS_TARGET {
namespace {

// What both passes know of a: its rows, and which of them each pair names. The same of b.
struct Side {
    const float* rows;
    const std::int32_t* named;
    std::int64_t entries;

    __device__ bool has(std::int64_t n) const { return named[n] >= 0 && named[n] < entries; }
};

struct Extents {
    std::int64_t heads, head_dim, pairs;
    float scale;
};

__global__ void row_products_forward_kernel(Side a, Side b, Extents of, float* y, int* faults) {
    const std::int64_t warp = index_in_grid() / warp_size, lane = threadIdx.x % warp_size;
    if (warp >= of.heads * of.pairs) return;  // the whole warp
    const std::int64_t head = warp / of.pairs, n = warp % of.pairs;
    if (!a.has(n) || !b.has(n)) return raise(faults, Fault::product_row);
    const float* const left = a.rows + (a.named[n] * of.heads + head) * of.head_dim;
    const float* const right = b.rows + (b.named[n] * of.heads + head) * of.head_dim;
    float sum = 0;
    for (std::int64_t c = lane; c < of.head_dim; c += warp_size) sum += left[c] * right[c];
    sum = warp_sum(sum);
    if (lane == 0) y[warp] = of.scale * sum;
}

// Block: a row of `to`, the gradient of `self`.
__global__ void row_products_backward_kernel(const float* dy, Side self, Side other, Extents of, float* to,
                                             int* faults) {
    const std::int64_t row = blockIdx.x, columns = of.heads * of.head_dim;
    for (std::int64_t column = threadIdx.x; column < columns; column += blockDim.x) {
        const float* const weights = dy + column / of.head_dim * of.pairs;
        float sum = to[row * columns + column];
        for (std::int64_t n = 0; n < of.pairs; ++n) {
            if (self.named[n] != row) continue;
            if (!other.has(n)) return raise(faults, Fault::product_row);
            sum += of.scale * weights[n] * other.rows[other.named[n] * columns + column];
        }
        to[row * columns + column] = sum;
    }
}

Side side(const Tensor& rows, const Tensor& named) {
    return {rows.as<float>(), named.as<std::int32_t>(), rows.shape[0]};
}

Extents extents(const RowProducts& args) {
    return {args.heads, args.a.shape[1] / args.heads, args.a_rows.count(), static_cast<float>(args.scale)};
}

}  // namespace

void row_products_forward(const RowProductsForward& args) {
    const RowProducts& of = args.operands;
    launch(one_thread_each("row_products", warp_size * args.y.count()), row_products_forward_kernel,
           side(of.a, of.a_rows), side(of.b, of.b_rows), extents(of), args.y.as<float>(), faults());
}

void row_products_backward(const RowProductsBackward& args) {
    const RowProducts& of = args.operands;
    const Side a = side(of.a, of.a_rows), b = side(of.b, of.b_rows);
    const auto* const dy = args.dy.as<float>();
    launch(one_block_each("row_products", a.entries), row_products_backward_kernel, dy, a, b, extents(of),
           args.da.as<float>(), faults());
    launch(one_block_each("row_products", b.entries), row_products_backward_kernel, dy, b, a, extents(of),
           args.db.as<float>(), faults());
}

}  // namespace locus::LOCUS_TARGET
