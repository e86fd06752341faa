#pragma once
// Sums over the rows of a matrix that need not exist: sum[c] += sum_r term(r, c), for gradients of biases and norms on a GPU.
//
// order    groups of 32 rows are summed each by one thread per column, their sums again in groups of 32, and so on, the last 32 or fewer in their order:
//          the same bits on every run, and no thread waits for memory more than 32 times in a row
// bytes    what the term reads, once, neighbouring threads neighbouring columns; partial sums are 1/32 of that, written and read

#include <algorithm>
#include <utility>

#include "kernels/gpu_vector.h"

namespace locus::LOCUS_TARGET {

/// What a term returns: for each of N sums the numbers of W neighbouring columns.
template <int N, int W = 1>
struct Summands {
    Several<W> of[N];
};

/// The term of a plain sum: what stands in the matrix.
template <class T, int W>
struct Element {
    const T* x;
    std::int64_t stride;

    __device__ Summands<1, W> operator()(std::int64_t row, std::int64_t column) const {
        return {{load_several<W>(x + row * stride + column)}};
    }
};

constexpr std::int64_t rows_per_group = 32;

// partials: [groups, N, columns]
template <int N, int W, class Term>
__global__ void group_sums_kernel(Term term, std::int64_t rows, std::int64_t columns, float* partials) {
    const std::int64_t group = blockIdx.x, c = W * (static_cast<std::int64_t>(blockIdx.y) * blockDim.x + threadIdx.x);
    if (c >= columns) return;
    const std::int64_t begin = group * rows_per_group,
                       end = begin + rows_per_group < rows ? begin + rows_per_group : rows;
    Summands<N, W> sum{};
    for (std::int64_t r = begin; r < end; ++r) {
        const Summands<N, W> one = term(r, c);
        for (int n = 0; n < N; ++n)
            for (int w = 0; w < W; ++w) sum.of[n].of[w] += one.of[n].of[w];
    }
    for (int n = 0; n < N; ++n) store_several(partials + (group * N + n) * columns + c, sum.of[n]);
}

template <int N>
struct SumTargets {
    float* of[N];  // [columns]; nullptr: nobody asks
};

template <int N>
__global__ void add_group_sums_kernel(const float* partials, std::int64_t groups, std::int64_t columns,
                                      SumTargets<N> sums) {
    const std::int64_t c = index_in_grid();
    if (c >= columns) return;
    for (int n = 0; n < N; ++n) {
        if (sums.of[n] == nullptr) continue;
        float total = 0;
        for (std::int64_t group = 0; group < groups; ++group) total += partials[(group * N + n) * columns + c];
        sums.of[n][c] += total;
    }
}

template <int N, int W, class Term>
void sum_groups(const char* op, const Term& term, std::int64_t rows, std::int64_t columns, float* partials) {
    const unsigned threads = threads_for_row<W>(columns), groups = blocks_for(rows, rows_per_group);
    launch({op, {groups, blocks_for(columns, W * threads), 1}, {threads, 1, 1}}, group_sums_kernel<N, W, Term>, term,
           rows, columns, partials);
}

/// Room for the sums of groups of rows, [groups, N, columns], and for what add_groups() makes of them. Not initialised.
template <int N>
float* room_for_groups(std::int64_t groups, std::int64_t columns) {
    const std::int64_t sums = groups + blocks_for(groups, rows_per_group);
    return static_cast<float*>(scratch(static_cast<std::size_t>(sums * N * columns) * sizeof(float)));
}

/// Adds the groups' sums up and to `sums`. partials: as room_for_groups() gave it. W divides the columns.
template <int N, int W>
void add_groups(const char* op, float* partials, std::int64_t groups, std::int64_t columns, SumTargets<N> sums) {
    const std::int64_t width = N * columns;
    auto* spare = partials + groups * width;
    while (groups > rows_per_group) {
        sum_groups<1, W>(op, Element<float, W>{partials, width}, groups, width, spare);
        groups = blocks_for(groups, rows_per_group);
        std::swap(partials, spare);
    }
    launch(one_thread_each(op, columns), add_group_sums_kernel<N>, static_cast<const float*>(partials), groups, columns,
           sums);
}

/// Adds the column sums of `term`, a functor of (row, column) that returns Summands<N, W> for W columns from `column` on, to `sums`.
template <int N, int W = 1, class Term>
void add_column_sums(const char* op, const Term& term, std::int64_t rows, std::int64_t columns, SumTargets<N> sums) {
    if (rows == 0 || columns == 0) return;
    const std::int64_t groups = blocks_for(rows, rows_per_group);
    float* const partials = room_for_groups<N>(groups, columns);
    sum_groups<N, W>(op, term, rows, columns, partials);
    add_groups<N, W>(op, partials, groups, columns, sums);
}

}  // namespace locus::LOCUS_TARGET
