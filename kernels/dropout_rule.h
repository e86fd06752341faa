#pragma once
// What a Dropout means for one number: whether it is kept. The same decision on every device.

#include <cmath>
#include <cstdint>
#include <string>

#include "kernels/dropout.h"
#include "kernels/random.h"

namespace locus {

struct DropoutRule {
    PhiloxKey key;
    std::uint32_t step;
    std::uint32_t threshold;  // of 65536; 0 keeps all
    double scale;             // 1 / (1 - p) for the p that the threshold stands for
};

inline DropoutRule dropout_rule(const char* op, const Dropout& dropout) {
    const double threshold = std::round(65536.0 * static_cast<double>(dropout.probability));
    LOCUS_CHECK(threshold >= 0.0 && threshold < 65536.0, op,
                "dropout probability " + std::to_string(dropout.probability) + " is outside [0, 1)");
    return {{dropout.seed, dropout.site},
            dropout.step,
            static_cast<std::uint32_t>(threshold),
            65536.0 / (65536.0 - threshold)};
}

/// Bit i: whether column 8 * block + i is kept, i < 8. Counters as in dropout.h; c1: row in sequence, c2: sequence [* heads + head].
constexpr std::uint32_t kept_of_eight(const DropoutRule& rule, std::uint32_t block, std::uint32_t c1,
                                      std::uint32_t c2) {
    const Philox4 words = philox(rule.key, {block, c1, c2, rule.step});
    std::uint32_t kept = 0;
    for (std::uint32_t i = 0; i < 8; ++i) {
        const std::uint32_t bits = words[i / 2] >> (16 * (i % 2)) & 0xFFFFU;
        kept |= (bits >= rule.threshold ? 1U : 0U) << i;
    }
    return kept;
}

/// Whether one number is kept: a whole Philox call for it.
constexpr bool is_kept(const DropoutRule& rule, std::uint32_t column, std::uint32_t c1, std::uint32_t c2) {
    const Philox4 words = philox(rule.key, {column / 8, c1, c2, rule.step});
    return (words[column % 8 / 2] >> (16 * (column % 2)) & 0xFFFFU) >= rule.threshold;
}

}  // namespace locus
