#include "train/bootstrap.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/random.h"

namespace locus {
namespace {

/// P(k <= 0), P(k <= 1), ... of a Poisson number with mean 1; what is left after the last entry is below 2^-32.
std::array<double, 13> cumulative_poisson() {
    std::array<double, 13> sums{};
    double probability = std::exp(-1.0), sum = 0;
    for (std::size_t k = 0; k < sums.size(); ++k) {
        sum += probability;
        sums[k] = sum;
        probability /= static_cast<double>(k + 1);
    }
    return sums;
}

double poisson(std::uint32_t bits) {
    static const std::array<double, 13> cumulative = cumulative_poisson();
    return static_cast<double>(std::upper_bound(cumulative.begin(), cumulative.end(), uniform(bits)) -
                               cumulative.begin());
}

}  // namespace

void draw_counts(std::uint32_t seed, std::uint32_t piece, std::vector<double>& counts) {
    counts.resize(bootstrap_replicates);
    for (std::size_t replicate = 0; replicate < counts.size(); replicate += 4) {
        const Philox4 bits = philox({seed, stream_bootstrap}, {static_cast<std::uint32_t>(replicate / 4), piece, 0, 0});
        for (std::size_t lane = 0; lane < 4; ++lane) counts[replicate + lane] = poisson(bits[lane]);
    }
}

void BootstrappedRatio::add(double x, double y, const std::vector<double>& counts) {
    if (y == 0) return;
    x_ += x;
    y_ += y;
    ++pieces_;
    xs_.resize(counts.size());
    ys_.resize(counts.size());
    for (std::size_t b = 0; b < counts.size(); ++b) {
        xs_[b] += counts[b] * x;
        ys_[b] += counts[b] * y;
    }
}

std::optional<Interval> BootstrappedRatio::interval() const {
    if (pieces_ < 2) return std::nullopt;
    std::vector<double> ratios;
    for (std::size_t b = 0; b < xs_.size(); ++b)
        if (ys_[b] > 0) ratios.push_back(xs_[b] / ys_[b]);  // with few pieces a replicate may have drawn none
    std::sort(ratios.begin(), ratios.end());
    const auto at = [&](double share) {
        return ratios[static_cast<std::size_t>(std::lround(share * static_cast<double>(ratios.size() - 1)))];
    };
    return Interval{at(0.025), at(0.975)};
}

}  // namespace locus
