#pragma once
// Neighbouring numbers, several to a thread: what a memory-bound kernel moves. A GPU comes near its bandwidth when a thread asks for 16 bytes with one
// instruction: eight bfloat16, or four of eight float32. That takes addresses that are multiples of 16 and rows of a multiple of eight numbers; where
// something is odd, the same kernel moves one number per thread.
//
//     template <int N, class T>                                                      // N: 8 or 1
//     __global__ void double_kernel(const T* x, T* y, std::int64_t rows, std::int64_t columns) {
//         const Place at = place_of<N>(columns);
//         if (at.row >= rows) return;
//         Several<N> v = load_several<N>(x + at.row * columns + at.column);
//         for (float& one : v.of) one *= 2;
//         store_several(y + at.row * columns + at.column, v);
//     }
//     for_width({x, y}, [&](auto width) {
//         launch(one_thread_for<width>("double", rows, columns), double_kernel<width, T>, ...);
//     });

#include <algorithm>
#include <initializer_list>
#include <type_traits>

#include "kernels/gpu.h"

namespace locus::LOCUS_TARGET {

constexpr int most_several = 8;

template <int N>
struct Several {
    float of[N];
};

/// 16 bytes, which one instruction loads or stores.
struct alignas(16) Words {
    std::uint32_t of[4];
};

__device__ inline float float_of_bits(std::uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}
__device__ inline std::uint32_t bits_of_float(float value) {
    std::uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/// N neighbours from `from` on, as float32.
template <int N>
__device__ Several<N> load_several(const float* from) {
    Several<N> x;
    if constexpr (N == 1) {
        x.of[0] = *from;
    } else {
        for (int part = 0; part < N / 4; ++part) {
            const Words words = reinterpret_cast<const Words*>(from)[part];
            for (int n = 0; n < 4; ++n) x.of[4 * part + n] = float_of_bits(words.of[n]);
        }
    }
    return x;
}
template <int N>
__device__ Several<N> load_several(const bfloat16_t* from) {
    Several<N> x;
    if constexpr (N == 1) {
        x.of[0] = load(from);
    } else {
        static_assert(N == 8);
        const Words words = *reinterpret_cast<const Words*>(from);
        for (int n = 0; n < 4; ++n) {  // the earlier number is in the lower half
            x.of[2 * n] = float_of_bits(words.of[n] << 16U);
            x.of[2 * n + 1] = float_of_bits(words.of[n] & 0xFFFF0000U);
        }
    }
    return x;
}

template <int N>
__device__ void store_several(float* to, const Several<N>& x) {
    if constexpr (N == 1) {
        *to = x.of[0];
    } else {
        for (int part = 0; part < N / 4; ++part) {
            Words words;
            for (int n = 0; n < 4; ++n) words.of[n] = bits_of_float(x.of[4 * part + n]);
            reinterpret_cast<Words*>(to)[part] = words;
        }
    }
}
template <int N>
__device__ void store_several(bfloat16_t* to, const Several<N>& x) {
    if constexpr (N == 1) {
        store(to, x.of[0]);
    } else {
        static_assert(N == 8);
        Words words;
        for (int n = 0; n < 4; ++n) words.of[n] = pair_of(x.of[2 * n], x.of[2 * n + 1]);
        *reinterpret_cast<Words*>(to) = words;
    }
}

/// What is read again after x is stored as a T.
template <class T>
__device__ float as_stored(float x) {
    T stored;
    store(&stored, x);
    return load(&stored);
}

/// Where the running thread's first number stands, when threads lie along the rows of a matrix, N numbers to each.
struct Place {
    std::int64_t row, column;
};
template <int N>
__device__ Place place_of(std::int64_t columns) {
    const std::int64_t i = index_in_grid(), in_a_row = columns / N;
    return {i / in_a_row, i % in_a_row * N};
}
template <int N>
Launch one_thread_for(const char* op, std::int64_t rows, std::int64_t columns) {
    return one_thread_each(op, rows * columns / N);
}

/// Threads for a block that has a row: N numbers to each, whole warps, so many that none is idle in a short row.
template <int N>
unsigned threads_for_row(std::int64_t columns) {
    const auto threads = static_cast<unsigned>(std::min<std::int64_t>((columns + N - 1) / N, threads_per_block));
    return (threads + warp_size - 1) / warp_size * warp_size;
}

/// Whether the rows of x begin where eight neighbours can be moved at once. Absent: yes.
inline bool begins_even(const Tensor& x) {
    const std::int64_t stride = x.shape.rank() == 2 && x.shape[0] > 1 ? x.strides[0] : 0;
    return reinterpret_cast<std::uintptr_t>(x.data) % 16 == 0 && stride % most_several == 0;
}
/// The same, and that no columns are left over.
inline bool is_even(const Tensor& x) { return begins_even(x) && (!x || x.shape[-1] % most_several == 0); }

/// Calls the body with 8 where all of these can be moved eight at a time, else with 1.
template <class Body>
void for_width(std::initializer_list<Tensor> all, const Body& body) {
    if (std::all_of(all.begin(), all.end(), is_even)) return body(std::integral_constant<int, most_several>());
    body(std::integral_constant<int, 1>());
}
/// 8 where all rows begin even. The last columns, fewer than eight, are the kernel's to move one by one.
template <class Body>
void for_width_of_rows(std::initializer_list<Tensor> all, const Body& body) {
    if (std::all_of(all.begin(), all.end(), begins_even)) return body(std::integral_constant<int, most_several>());
    body(std::integral_constant<int, 1>());
}

/// Numbers that the threads of a block put aside in shared memory, each for itself. Of eight, both halves lie beside those of the neighbouring threads:
/// with all eight in a row, every second thread would wait for the bank of another.
template <int N>
struct Aside {
    float* memory;
    std::int64_t count;  // a multiple of N

    __device__ void put(std::int64_t at, const Several<N>& x) const {
        if constexpr (N == 1) {
            memory[at] = x.of[0];
        } else {
            for (int half = 0; half < 2; ++half)
                store_several(half_of(at, half),
                              Several<4>{{x.of[4 * half], x.of[4 * half + 1], x.of[4 * half + 2], x.of[4 * half + 3]}});
        }
    }
    __device__ Several<N> take(std::int64_t at) const {
        Several<N> x;
        if constexpr (N == 1) {
            x.of[0] = memory[at];
        } else {
            for (int half = 0; half < 2; ++half) {
                const Several<4> four = load_several<4>(half_of(at, half));
                for (int n = 0; n < 4; ++n) x.of[4 * half + n] = four.of[n];
            }
        }
        return x;
    }

private:
    __device__ float* half_of(std::int64_t at, int half) const { return memory + (half * count + at) / 2; }
};

}  // namespace locus::LOCUS_TARGET
