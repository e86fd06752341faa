#pragma once
// The random numbers of one example of a probe.

#include <cstdint>

#include "kernels/random.h"

namespace locus {

/// What an example is for. `fixed` is no split: what belongs to the probe itself is drawn there.
enum class ProbeSplit : std::uint32_t { train, validation, test, fixed };

/// Philox key (seed, stream_probes), counter (draw / 4, index low, index high, split).
class ProbeDraws {
public:
    ProbeDraws(std::uint32_t seed, ProbeSplit split, std::int64_t index)
        : key_{seed, stream_probes}, split_(static_cast<std::uint32_t>(split)), index_(index) {}

    /// 0 .. bound - 1, with 1 <= bound < 2^32.
    std::int64_t below(std::int64_t bound) {
        if (used_ == 4) {
            const auto index = static_cast<std::uint64_t>(index_);
            bits_ = philox(
                key_, {block_++, static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32U), split_});
            used_ = 0;
        }
        return locus::below(bits_[used_++], static_cast<std::uint32_t>(bound));
    }
    /// low .. high, both possible.
    std::int64_t between(std::int64_t low, std::int64_t high) { return low + below(high - low + 1); }
    template <typename Table>
    const auto& of(const Table& table) {
        return table[static_cast<std::size_t>(below(static_cast<std::int64_t>(table.size())))];
    }

private:
    PhiloxKey key_;
    std::uint32_t split_;
    std::int64_t index_;
    std::uint32_t block_ = 0;
    Philox4 bits_{};
    unsigned used_ = 4;
};

}  // namespace locus
