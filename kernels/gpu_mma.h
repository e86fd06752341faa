#pragma once
// The product of small matrices by the 32 threads of a warp, on tensor cores: C[16, 8] += A[16, 16] B[16, 8], A and B bfloat16, C float32.
//
// Each thread (lane) holds a fragment of each matrix. With g = lane / 4 and t = lane % 4:
//
//          A       2t,2t+1  2t+8,2t+9           B         g               C       2t,2t+1
//               +---------+---------+              +-------------+              +---------+
//          g    |   a0    |   a2    |      2t,2t+1 |     b0      |         g    |  c0,c1  |
//               +---------+---------+              +-------------+              +---------+
//          g+8  |   a1    |   a3    |    2t+8,2t+9 |     b1      |         g+8  |  c2,c3  |
//               +---------+---------+              +-------------+              +---------+
//
// where a0 .. a3, b0, b1 are two bfloat16 each, the earlier in the lower half. Two neighbouring C are thus an A, lane by lane: what makes
// softmax(Q K^T) V possible without a detour over memory.
//
//   device   compute capability 8.0 or later; before, the product traps (run.precision: bfloat16 is refused there at the start, train/device_name.h)
//   flop     4096 for one instruction of a warp
//   bytes    a fragment of A, and two of B, by one ldmatrix: 512 from shared memory, where eight rows of 16 must begin in different banks
//   source   PTX ISA, "Matrix fragments for mma.m16n8k16 with floating point type", "ldmatrix"

#include "kernels/gpu.h"

// Code for cards that have no such instructions: releases hold it for what needs none, float32.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#define LOCUS_NO_BFLOAT16_INSTRUCTIONS
#endif

// Before loops over fragments: they are in registers, which have no addresses, so the compiler must know each index.
#ifdef __CUDACC__
#define LOCUS_UNROLL _Pragma("unroll")
#else
#define LOCUS_UNROLL
#endif

namespace locus::LOCUS_TARGET {

struct MmaA {
    std::uint32_t pairs[4];
};
struct MmaB {
    std::uint32_t pairs[2];
};
/// Two side by side, B[16, 16]: what one load from shared memory brings.
struct TwoMmaB {
    MmaB of[2];
};
struct MmaC {
    float at[4] = {0, 0, 0, 0};
};

/// Where at[e] of the running thread's MmaC stands.
__device__ inline int mma_row(int e) { return static_cast<int>(threadIdx.x % warp_size) / 4 + e / 2 * 8; }
__device__ inline int mma_column(int e) { return static_cast<int>(threadIdx.x % 4) * 2 + e % 2; }

#ifndef __CUDACC__
/// The stand-in for an instruction of a warp: each thread shows what it has, then sees what all have shown. Who is late still reads one of two places when
/// others have gone on to the other.
inline unsigned turn_of_thread() {
    static unsigned turns[1024];
    return turns[threadIdx.x]++ % 2;
}
#endif

// ---- blocks of 16 x 16 in shared memory, whose rows are `stride` apart; every eight numbers begin at a multiple of 16 bytes ----

/// What a lane has of four matrices of 8 x 8: of each, two neighbours in a row.
struct FourPairs {
    std::uint32_t of[4];
};

#ifdef __CUDACC__
/// Lane l names row l % 8 of matrix l / 8, 16 bytes, and gets numbers 2t and 2t + 1 of row g of each. All threads of the warp have to come.
__device__ inline FourPairs load_matrices(const bfloat16_t* row) {
    FourPairs x;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x.of[0]), "=r"(x.of[1]), "=r"(x.of[2]), "=r"(x.of[3])
                 : "r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(row)))
                 : "memory");
    return x;
}
/// The same, but it gets those of column g.
__device__ inline FourPairs load_matrices_transposed(const bfloat16_t* row) {
    FourPairs x;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x.of[0]), "=r"(x.of[1]), "=r"(x.of[2]), "=r"(x.of[3])
                 : "r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(row)))
                 : "memory");
    return x;
}
#else
struct alignas(16) RowOfMatrix {
    bfloat16_t at[8];
};
/// The same: each thread shows the row that it names to the others of its warp and picks its pair of each matrix.
template <class Pick>
FourPairs pick_from_matrices(const bfloat16_t* row, const Pick& pick) {
    static RowOfMatrix of_warp[2][warp_size][warp_size];
    RowOfMatrix* const rows = of_warp[turn_of_thread()][threadIdx.x / warp_size];
    rows[threadIdx.x % warp_size] = *reinterpret_cast<const RowOfMatrix*>(row);
    __syncwarp();  // all have shown
    FourPairs x;
    for (int n = 0; n < 4; ++n) x.of[n] = pick(rows + 8 * n, mma_row(0), mma_column(0));
    return x;
}
inline FourPairs load_matrices(const bfloat16_t* row) {
    return pick_from_matrices(
        row, [](const RowOfMatrix* x, int g, int two_t) { return pair_of(x[g].at[two_t], x[g].at[two_t + 1]); });
}
inline FourPairs load_matrices_transposed(const bfloat16_t* row) {
    return pick_from_matrices(
        row, [](const RowOfMatrix* x, int g, int two_t) { return pair_of(x[two_t].at[g], x[two_t + 1].at[g]); });
}
#endif

/// Which row the running lane names, so that the quarters of a block come in this order.
///     0 2
///     1 3
__device__ inline const bfloat16_t* row_downwards(const bfloat16_t* block, int stride) {
    const int lane = static_cast<int>(threadIdx.x) % warp_size;
    return block + lane % 16 * stride + lane / 16 * 8;
}
///     0 1
///     2 3
__device__ inline const bfloat16_t* row_across(const bfloat16_t* block, int stride) {
    const int lane = static_cast<int>(threadIdx.x) % warp_size;
    return block + (lane / 16 * 8 + lane % 8) * stride + lane / 8 % 2 * 8;
}

// ---- fragments of these blocks ----

__device__ inline MmaA mma_a(const FourPairs& x) { return {x.of[0], x.of[1], x.of[2], x.of[3]}; }
__device__ inline TwoMmaB two_mma_b(const FourPairs& x) { return {{{x.of[0], x.of[1]}, {x.of[2], x.of[3]}}}; }

/// A[i, k] = x[i, k]
__device__ inline MmaA mma_a(const bfloat16_t* x, int stride) { return mma_a(load_matrices(row_downwards(x, stride))); }
/// A[i, k] = x[k, i]
__device__ inline MmaA mma_a_transposed(const bfloat16_t* x, int stride) {
    return mma_a(load_matrices_transposed(row_across(x, stride)));
}
/// B[k, n] = x[n, k]: for products of rows with rows.
__device__ inline TwoMmaB mma_b_of_rows(const bfloat16_t* x, int stride) {
    return two_mma_b(load_matrices(row_across(x, stride)));
}
/// B[k, n] = x[k, n]: for sums of rows.
__device__ inline TwoMmaB mma_b(const bfloat16_t* x, int stride) {
    return two_mma_b(load_matrices_transposed(row_downwards(x, stride)));
}

// ---- fragments of what is not in memory ----

/// The A whose left and right halves are these C, rounded.
__device__ inline MmaA mma_a(const MmaC& left, const MmaC& right) {
    return {pair_of(left.at[0], left.at[1]), pair_of(left.at[2], left.at[3]), pair_of(right.at[0], right.at[1]),
            pair_of(right.at[2], right.at[3])};
}

/// A[i, k] = element(i, k), a bfloat16_t, for a matrix that is not simply one in memory.
template <class Element>
__device__ MmaA mma_a_of(const Element& element) {
    const int row = mma_row(0), column = mma_column(0);
    const auto pair = [&](int i, int k) { return pair_of(element(i, k), element(i, k + 1)); };
    return {pair(row, column), pair(row + 8, column), pair(row, column + 8), pair(row + 8, column + 8)};
}

// ---- the product ----

#if defined(LOCUS_NO_BFLOAT16_INSTRUCTIONS)
__device__ inline void multiply_add(MmaC&, const MmaA&, const MmaB&) { __trap(); }
#elif defined(__CUDACC__)
/// c += a b. All threads of the warp have to come.
__device__ inline void multiply_add(MmaC& c, const MmaA& a, const MmaB& b) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, "
        "%2, %3};"
        : "+f"(c.at[0]), "+f"(c.at[1]), "+f"(c.at[2]), "+f"(c.at[3])
        : "r"(a.pairs[0]), "r"(a.pairs[1]), "r"(a.pairs[2]), "r"(a.pairs[3]), "r"(b.pairs[0]), "r"(b.pairs[1]));
}
#else
/// The same, number by number: each thread shows its fragments to the others of its warp.
inline void multiply_add(MmaC& c, const MmaA& a, const MmaB& b) {
    struct Operands {
        float a[16][16], b[8][16];  // b transposed
    };
    static Operands of_warp[2][warp_size];
    Operands& all = of_warp[turn_of_thread()][threadIdx.x / warp_size];
    const auto show = [](float* to, std::uint32_t pair) {
        const bfloat16_t both[] = {{static_cast<std::uint16_t>(pair)}, {static_cast<std::uint16_t>(pair >> 16U)}};
        to[0] = load(&both[0]), to[1] = load(&both[1]);
    };
    const int g = mma_row(0), k = mma_column(0);
    for (int n = 0; n < 4; ++n) show(&all.a[g + n % 2 * 8][k + n / 2 * 8], a.pairs[n]);
    for (int n = 0; n < 2; ++n) show(&all.b[g][k + n * 8], b.pairs[n]);
    __syncwarp();  // all have shown
    for (int e = 0; e < 4; ++e)
        for (int n = 0; n < 16; ++n) c.at[e] += all.a[mma_row(e)][n] * all.b[mma_column(e)][n];
}
#endif

/// One step of a strip of 16 rows: c[16, 8 n_tiles] += A[16, 16] B. `b` gives the fragments of a step and 16 columns.
template <int n_tiles, class B>
__device__ void multiply_step(MmaC (&c)[n_tiles], const MmaA& a, const B& b, int step) {
    static_assert(n_tiles % 2 == 0);
    LOCUS_UNROLL
    for (int n = 0; n < n_tiles; n += 2) {
        const TwoMmaB two = b(step, n / 2);
        multiply_add(c[n], a, two.of[0]);
        multiply_add(c[n + 1], a, two.of[1]);
    }
}

/// A strip: c[16, 8 n_tiles] += A[16, 16 steps] B. `a` gives the fragment of a step.
template <int steps, int n_tiles, class A, class B>
__device__ void multiply_strip(MmaC (&c)[n_tiles], const A& a, const B& b) {
    LOCUS_UNROLL
    for (int step = 0; step < steps; ++step) multiply_step(c, a(step), b, step);
}

// Operands for multiply_strip.

/// Rows of a matrix in shared memory as A, or as a B whose columns they are.
struct RowsOf {
    const bfloat16_t* x;
    int stride;

    __device__ MmaA operator()(int step) const { return mma_a(x + 16 * step, stride); }
    __device__ TwoMmaB operator()(int step, int n) const {
        return mma_b_of_rows(x + 16 * n * stride + 16 * step, stride);
    }
};
/// Columns of a matrix in shared memory as the rows of A, or the matrix as it is as B.
struct ColumnsOf {
    const bfloat16_t* x;
    int stride;

    __device__ MmaA operator()(int step) const { return mma_a_transposed(x + 16 * step * stride, stride); }
    __device__ TwoMmaB operator()(int step, int n) const { return mma_b(x + 16 * step * stride + 16 * n, stride); }
};
/// A strip that a product has left in registers as A.
struct StripOf {
    const MmaC* c;

    __device__ MmaA operator()(int step) const { return mma_a(c[2 * step], c[2 * step + 1]); }
};

}  // namespace locus::LOCUS_TARGET
