#pragma once
// Row numbers sorted by their keys on a GPU, equal keys in row order: a radix sort. The least significant digit first; each pass keeps the order of
// rows with equal digits, so that in the end the most significant one decides and the others break ties.
//
//     tile                256 rows that follow each other; digits have 256 values, blocks 256 threads
//     counts[tile, d]     how many rows of the tile have digit d
//     starts[tile, d]     where the first of them goes: behind all rows with smaller digits and those with digit d in earlier tiles
//     place of a row      starts[tile, d] plus the number of rows before it in its tile that have its digit
//
// order    no atomics: a row's place depends on the keys alone
// cost     per digit keys are read twice, keys and row numbers written once; 512 comparisons per row, in shared memory

#include <utility>

#include "kernels/gpu.h"

namespace locus::LOCUS_TARGET {

struct KeyedRows {
    std::int32_t *keys, *rows;
};

constexpr int digit_bits = 8, digit_values = 1 << digit_bits, tiles_at_once = 16;

/// What sort_by_key() needs as `counts`.
inline std::int64_t counts_to_sort(std::int64_t count) {
    return static_cast<std::int64_t>(blocks_for(count, digit_values)) * digit_values;
}

namespace sorting {

/// The digits of the block's tile, into shared memory; -1 behind the last row. Returns the thread's own.
__device__ inline int read_digits(const std::int32_t* keys, std::int64_t count, int shift, int* digits) {
    const std::int64_t i = index_in_grid();
    const int own = i < count ? keys[i] >> shift & (digit_values - 1) : -1;
    digits[threadIdx.x] = own;
    __syncthreads();
    return own;
}

// A thread for each digit.
static __global__ void count_kernel(const std::int32_t* keys, std::int64_t count, int shift, std::int32_t* counts) {
    __shared__ int digits[digit_values];
    read_digits(keys, count, shift, digits);
    const int digit = static_cast<int>(threadIdx.x);
    std::int32_t rows = 0;
    for (int t = 0; t < digit_values; ++t) rows += digits[t] == digit ? 1 : 0;
    counts[static_cast<std::int64_t>(blockIdx.x) * digit_values + digit] = rows;
}

// One block, a thread for each digit: counts become starts.
static __global__ void start_kernel(std::int32_t* counts, std::int64_t tiles) {
    __shared__ std::int32_t totals[digit_values];
    const int digit = static_cast<int>(threadIdx.x);
    std::int32_t total = 0;
    for (std::int64_t tile = 0; tile < tiles; ++tile) total += counts[tile * digit_values + digit];
    totals[digit] = total;
    __syncthreads();
    std::int32_t start = 0;
    for (int smaller = 0; smaller < digit; ++smaller) start += totals[smaller];
    for (std::int64_t first = 0; first < tiles; first += tiles_at_once) {
        std::int32_t rows[tiles_at_once];  // all asked for before the first is needed
        for (int n = 0; n < tiles_at_once; ++n)
            rows[n] = first + n < tiles ? counts[(first + n) * digit_values + digit] : 0;
        for (int n = 0; n < tiles_at_once; ++n) {
            if (first + n < tiles) counts[(first + n) * digit_values + digit] = start;
            start += rows[n];
        }
    }
}

// A thread for each row.
static __global__ void move_kernel(KeyedRows from, std::int64_t count, int shift, const std::int32_t* starts,
                                   KeyedRows to) {
    __shared__ int digits[digit_values];
    const int digit = read_digits(from.keys, count, shift, digits);
    const std::int64_t i = index_in_grid();
    if (i >= count) return;
    std::int32_t place = starts[static_cast<std::int64_t>(blockIdx.x) * digit_values + digit];
    for (unsigned t = 0; t < threadIdx.x; ++t) place += digits[t] == digit ? 1 : 0;
    to.keys[place] = from.keys[i];
    to.rows[place] = from.rows[i];
}

}  // namespace sorting

/// Sorts `count` rows by their keys, which lie in [0, largest]. Returns where the sorted ones are, `rows` or `spare`; the other one holds nothing of use.
inline KeyedRows sort_by_key(const char* op, KeyedRows rows, KeyedRows spare, std::int64_t count, std::int64_t largest,
                             std::int32_t* counts) {
    const std::int64_t tiles = blocks_for(count, digit_values);
    const Launch block_per_tile = one_block_each(op, tiles, digit_values);
    for (int shift = 0; largest >> shift > 0; shift += digit_bits) {
        launch(block_per_tile, sorting::count_kernel, rows.keys, count, shift, counts);
        launch(one_block_each(op, 1, digit_values), sorting::start_kernel, counts, tiles);
        launch(block_per_tile, sorting::move_kernel, rows, count, shift, counts, spare);
        std::swap(rows, spare);
    }
    return rows;
}

}  // namespace locus::LOCUS_TARGET
