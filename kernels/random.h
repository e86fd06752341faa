#pragma once
// Philox4x32-10: random numbers as a pure function of (key, counter). Nothing is stored and nothing advances, so a dropout
// mask can be drawn again in the backward pass, a run can be resumed anywhere, and the CPU and a GPU draw the same bits.
//
//     ten rounds of   (c0, c1, c2, c3) <- (hi(M1 c2) ^ c1 ^ k0,  lo(M1 c2),  hi(M0 c0) ^ c3 ^ k1,  lo(M0 c0))
//                     k0 += 0x9E3779B9, k1 += 0xBB67AE85
//
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
//
// Who uses which key and counter (each use has a stream of its own, so that no two share numbers):
//
//     dropout          key (seed, site)               counter (column / 8, row in sequence, sequence in the global batch [* heads + head], step)
//     masking          key (seed, Stream::masking)    counter (position, draw, sample, epoch)
//     positions        key (seed, Stream::positions)  counter (place / 4, sequence in the global batch, step, 1); shape: (0, sequence, step, 2);
//                                                     rows past a table's end, seed 0: (channel / 2, row, 0, 0)
//     probes           key (seed, Stream::probes)     counter (draw / 4, index low, index high, split)
//     initialisation   key (seed, Stream::weights)    counter (element / 4, parameter number, 0, 0)

#include <array>
#include <cstdint>

namespace locus {

using Philox4 = std::array<std::uint32_t, 4>;

struct PhiloxKey {
    std::uint32_t seed = 0;
    std::uint32_t stream = 0;
};

/// Names for the second key word. Dropout sites are Stream::dropout + a number per place in the model.
enum Stream : std::uint32_t {
    stream_weights = 1,
    stream_shuffle = 2,
    stream_masking = 3,
    stream_synthetic = 4,
    stream_positions = 5,
    stream_bootstrap = 6,
    stream_benchmark = 7,
    stream_probes = 8,
    stream_dropout = 1U << 16U,
};

constexpr Philox4 philox(PhiloxKey key, Philox4 counter) {
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t p0 = std::uint64_t{0xD2511F53U} * counter[0];
        const std::uint64_t p1 = std::uint64_t{0xCD9E8D57U} * counter[2];
        counter = {static_cast<std::uint32_t>(p1 >> 32U) ^ counter[1] ^ key.seed, static_cast<std::uint32_t>(p1),
                   static_cast<std::uint32_t>(p0 >> 32U) ^ counter[3] ^ key.stream, static_cast<std::uint32_t>(p0)};
        key.seed += 0x9E3779B9U;
        key.stream += 0xBB67AE85U;
    }
    return counter;
}

/// Uniform in [0, 1) with 32 random bits.
constexpr double uniform(std::uint32_t bits) { return bits * 0x1p-32; }

/// Uniform integer in [0, bound) by multiplication (Lemire 2019); the bias is below bound / 2^32.
constexpr std::uint32_t below(std::uint32_t bits, std::uint32_t bound) {
    return static_cast<std::uint32_t>((std::uint64_t{bits} * bound) >> 32U);
}

/// Two independent standard normals from two uniforms (Box and Muller 1958). Host only: libm is part of the result.
std::array<double, 2> box_muller(std::uint32_t bits_radius, std::uint32_t bits_angle);

}  // namespace locus
