#pragma once
// Sums over the rows of a matrix that need not exist: sum[c] += sum_r term(r, c), for gradients of biases and norms on a GPU.
//
// order    groups of 32 rows are summed each by one thread per column, then the groups in their order: the same bits on every run
// cost     reads what the term reads once, neighbouring threads neighbouring columns; partial sums are 1/32 of that

#include <algorithm>
#include <array>

#include "kernels/gpu.h"

namespace locus::LOCUS_TARGET {

/// What a term returns: one number for each of N sums.
template <int N>
struct Summands {
    float of[N];
};

constexpr std::int64_t rows_per_group = 32;

// partials: [groups, N, columns]
template <int N, class Term>
__global__ void group_sums_kernel(Term term, std::int64_t rows, std::int64_t columns, float* partials) {
    const std::int64_t c = index_in_grid(), group = blockIdx.y;
    if (c >= columns) return;
    const std::int64_t begin = group * rows_per_group,
                       end = begin + rows_per_group < rows ? begin + rows_per_group : rows;
    Summands<N> sum{};
    for (std::int64_t r = begin; r < end; ++r) {
        const Summands<N> one = term(r, c);
        for (int n = 0; n < N; ++n) sum.of[n] += one.of[n];
    }
    for (int n = 0; n < N; ++n) partials[(group * N + n) * columns + c] = sum.of[n];
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

/// Adds the column sums of `term`, a functor of (row, column) that returns Summands<N>, to `sums`.
template <int N, class Term>
void add_column_sums(const char* op, const Term& term, std::int64_t rows, std::int64_t columns, SumTargets<N> sums) {
    if (rows == 0 || columns == 0) return;
    const std::int64_t groups = blocks_for(rows, rows_per_group);
    auto* const partials = static_cast<float*>(scratch(static_cast<std::size_t>(groups * N * columns) * sizeof(float)));
    const unsigned across = blocks_for(columns, threads_per_block);
    launch({op, {across, static_cast<unsigned>(groups), 1}, {threads_per_block, 1, 1}}, group_sums_kernel<N, Term>,
           term, rows, columns, partials);
    launch({op, {across, 1, 1}, {threads_per_block, 1, 1}}, add_group_sums_kernel<N>,
           static_cast<const float*>(partials), groups, columns, sums);
}

}  // namespace locus::LOCUS_TARGET
