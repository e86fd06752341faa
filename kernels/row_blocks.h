#pragma once
// Sums over rows whose bits do not depend on the number of threads: blocks of a fixed number of rows are summed each by one thread, and
// the blocks' sums are added in block order.

#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "kernels/memory.h"

namespace locus::LOCUS_TARGET {

constexpr std::int64_t rows_per_block = 32;

/// Memory of the calling thread that is kept between calls; it grows and never shrinks. One block at a time.
template <class T>
T* kept_scratch(std::int64_t count) {
    thread_local Buffer buffer;
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
    if (buffer.bytes() < bytes) buffer = Buffer(bytes);
    return static_cast<T*>(buffer.data());
}

/// Calls body(first_row, end_row, partial) for each block, where the body adds its rows to partial[0 .. width-1], which starts at 0;
/// then finish(column, total) for each column. The body must not throw.
template <class T, class Body, class Finish>
void sum_row_blocks(std::int64_t rows, std::int64_t width, const Body& body, const Finish& finish) {
    const std::int64_t blocks = (rows + rows_per_block - 1) / rows_per_block;
    T* const partials = kept_scratch<T>(blocks * width);
#pragma omp parallel
    {
#pragma omp for schedule(dynamic)
        for (std::int64_t block = 0; block < blocks; ++block) {
            T* const partial = partials + block * width;
            std::fill(partial, partial + width, T{0});
            body(block * rows_per_block, std::min(rows, (block + 1) * rows_per_block), partial);
        }
        constexpr std::int64_t chunk = 256;  // columns
#pragma omp for schedule(static)
        for (std::int64_t begin = 0; begin < width; begin += chunk) {
            const std::int64_t end = std::min(width, begin + chunk);
            T total[chunk] = {};
            for (std::int64_t block = 0; block < blocks; ++block) {
                const T* const partial = partials + block * width + begin;
#pragma omp simd
                for (std::int64_t c = 0; c < end - begin; ++c) total[c] += partial[c];
            }
            for (std::int64_t c = begin; c < end; ++c) finish(c, total[c - begin]);
        }
    }
}

}  // namespace locus::LOCUS_TARGET
