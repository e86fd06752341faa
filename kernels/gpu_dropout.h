#pragma once
// Dropout in a kernel whose threads have some neighbours of a row each: a Philox call decides about eight of them, so a thread that has eight needs one.
// Which are kept: dropout.h.

#include "kernels/dropout_rule.h"
#include "kernels/gpu_vector.h"

namespace locus::LOCUS_TARGET {

struct DropoutOfRows {
    bool on = false;
    DropoutRule rule{};
    const std::int32_t *sequence = nullptr, *position = nullptr;

    /// N neighbours of a row, from `column` on, scaled or dropped: a NaN that is dropped is 0 too.
    template <int N>
    __device__ void apply(std::int64_t row, std::int64_t column, Several<N>& x) const {
        static_assert(N == 1 || N == 8);
        if (!on) return;
        const auto c1 = static_cast<std::uint32_t>(position[row]), c2 = static_cast<std::uint32_t>(sequence[row]);
        const auto c = static_cast<std::uint32_t>(column);
        const std::uint32_t kept = N == 8 ? kept_of_eight(rule, c / 8, c1, c2) : is_kept(rule, c, c1, c2) ? 1U : 0U;
        for (int n = 0; n < N; ++n) x.of[n] = (kept >> n & 1U) != 0 ? x.of[n] * static_cast<float>(rule.scale) : 0.0F;
    }
};

inline DropoutOfRows dropout_of_rows(const char* op, const Dropout& dropout, const DropoutRows& rows) {
    if (!dropout) return {};
    return {true, dropout_rule(op, dropout), rows.sequence.as<std::int32_t>(), rows.position.as<std::int32_t>()};
}

}  // namespace locus::LOCUS_TARGET
