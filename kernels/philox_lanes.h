#pragma once
// Philox for 16 counters at a time: the bits of philox() in random.h, from loops that vectorise; and the dropout decisions made of them.
//
//   philox_lanes(key, counters, words)     words[lane][w] = philox(key, {c0[lane], c1[lane], c2, c3})[w]
//   dropout_bits(rule, block, c1, c2, bits)   bits[i], i < 128: the 16 random bits for column 8 * block + i of dropout.h; keep where
//                                          bits[i] >= rule.threshold. Attention's column is the key's row in its sequence.
//
// cost     about 1.2 instructions per decision with AVX-512

#include <bit>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "kernels/dropout_rule.h"
#include "kernels/random.h"
#include "kernels/tensor.h"

namespace locus::LOCUS_TARGET {

static_assert(std::endian::native == std::endian::little, "the low half of a word must come first in memory");

constexpr int philox_lane_count = 16;
constexpr int dropout_chunk = 8 * philox_lane_count;  // decisions of one call

struct PhiloxCounters {
    std::uint32_t c0[philox_lane_count], c1[philox_lane_count];
    std::uint32_t c2, c3;
};

// Lanes of 64 bits, as many as a register holds. Only the low half of a lane counts; what is left above it by a product is ignored
// by the next one, so that nothing has to be masked or shuffled between the rounds. This one product is the only place where the
// compiler needs to be told the instruction: left to itself it takes three times as long.
#if defined(__AVX512F__)
using PhiloxWide = std::uint64_t __attribute__((vector_size(64)));
inline PhiloxWide low_product(PhiloxWide a, std::uint32_t m) {
    return reinterpret_cast<PhiloxWide>(
        _mm512_maskz_mul_epu32(0xFF, reinterpret_cast<__m512i>(a), _mm512_set1_epi64(m)));
}
#elif defined(__AVX2__)
using PhiloxWide = std::uint64_t __attribute__((vector_size(32)));
inline PhiloxWide low_product(PhiloxWide a, std::uint32_t m) {
    return reinterpret_cast<PhiloxWide>(_mm256_mul_epu32(reinterpret_cast<__m256i>(a), _mm256_set1_epi64x(m)));
}
#elif defined(__SSE2__)
using PhiloxWide = std::uint64_t __attribute__((vector_size(16)));
inline PhiloxWide low_product(PhiloxWide a, std::uint32_t m) {
    return reinterpret_cast<PhiloxWide>(_mm_mul_epu32(reinterpret_cast<__m128i>(a), _mm_set1_epi64x(m)));
}
#else
using PhiloxWide = std::uint64_t __attribute__((vector_size(16)));
inline PhiloxWide low_product(PhiloxWide a, std::uint32_t m) { return (a & 0xFFFFFFFFU) * m; }
#endif

inline void philox_lanes(PhiloxKey key, const PhiloxCounters& counters, std::uint32_t (&words)[philox_lane_count][4]) {
    constexpr int width = sizeof(PhiloxWide) / sizeof(std::uint64_t);
    constexpr int parts = philox_lane_count / width;
    PhiloxWide c0[parts], c1[parts], c2[parts], c3[parts];
    for (int part = 0; part < parts; ++part) {
        for (int lane = 0; lane < width; ++lane) {
            c0[part][lane] = counters.c0[part * width + lane];
            c1[part][lane] = counters.c1[part * width + lane];
        }
        c2[part] = PhiloxWide{} + counters.c2;
        c3[part] = PhiloxWide{} + counters.c3;
    }
    for (int round = 0; round < 10; ++round) {
        for (int part = 0; part < parts; ++part) {
            const PhiloxWide p0 = low_product(c0[part], 0xD2511F53U);
            const PhiloxWide p1 = low_product(c2[part], 0xCD9E8D57U);
            c0[part] = (p1 >> 32U) ^ c1[part] ^ key.seed;
            c1[part] = p1;
            c2[part] = (p0 >> 32U) ^ c3[part] ^ key.stream;
            c3[part] = p0;
        }
        key.seed += 0x9E3779B9U;
        key.stream += 0xBB67AE85U;
    }
    for (int part = 0; part < parts; ++part) {
        const PhiloxWide first = (c0[part] & 0xFFFFFFFFU) | (c1[part] << 32U);
        const PhiloxWide second = (c2[part] & 0xFFFFFFFFU) | (c3[part] << 32U);
        std::uint64_t pairs[width][2];
        for (int lane = 0; lane < width; ++lane) {
            pairs[lane][0] = first[lane];
            pairs[lane][1] = second[lane];
        }
        std::memcpy(words[static_cast<std::ptrdiff_t>(part) * width], pairs, sizeof(pairs));
    }
}

inline void dropout_bits(const DropoutRule& rule, std::uint32_t block, std::uint32_t c1, std::uint32_t c2,
                         std::uint16_t (&bits)[dropout_chunk]) {
    PhiloxCounters counters;
    for (std::uint32_t lane = 0; lane < philox_lane_count; ++lane) {
        counters.c0[lane] = block + lane;
        counters.c1[lane] = c1;
    }
    counters.c2 = c2;
    counters.c3 = rule.step;
    std::uint32_t words[philox_lane_count][4];
    philox_lanes(rule.key, counters, words);
    std::memcpy(bits, words, sizeof(words));
}

}  // namespace locus::LOCUS_TARGET
