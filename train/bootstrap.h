#pragma once
// Confidence intervals of a ratio of sums over many pieces of text, without keeping the pieces: the Poisson bootstrap.
//
//     ratio = sum_w x_w / sum_w y_w            w: a piece (a cluster, drawn as a whole), x its loss, y its number of targets
//     in replicate b each piece counts k_{w,b} times, k independent and Poisson with mean 1:   ratio_b = sum_w k x_w / sum_w k y_w
//     interval: the 2.5 % and 97.5 % percentiles of ratio_b over 2,000 replicates
//
// The ordinary bootstrap draws as many pieces as there are, with replacement, so that a piece counts Binomial(W, 1 / W) times; for many pieces that
// is Poisson(1), and then nothing has to be known about the pieces in advance. Only the sums of each replicate are kept: memory does not grow with the
// text. The counts are a function of (seed, piece, replicate): two ratios over the same pieces are drawn alike, whatever order they come in.
// source   Efron 1979 (the bootstrap); Hanley and MacGibbon 2006, Computer Methods and Programs in Biomedicine 83, "Creating non-parametric
//          bootstrap samples using Poisson frequencies"; Chamandy, Muralidharan, Najmi and Naidu 2012, "Estimating uncertainty for massive
//          data streams"

#include <cstdint>
#include <optional>
#include <vector>

namespace locus {

constexpr std::int64_t bootstrap_replicates = 2000;

/// How often piece `piece` counts in each replicate: [bootstrap_replicates] whole numbers. Philox key (seed, stream_bootstrap), counter
/// (replicate / 4, piece, 0, 0).
void draw_counts(std::uint32_t seed, std::uint32_t piece, std::vector<double>& counts);

struct Interval {
    double low = 0, high = 0;  // 95 %
};

class BootstrappedRatio {
public:
    /// One piece; `counts` of draw_counts().
    void add(double x, double y, const std::vector<double>& counts);

    /// Not a number when nothing was added.
    double value() const { return x_ / y_; }
    bool is_empty() const { return pieces_ == 0; }
    /// Absent with fewer than two pieces, which tell nothing about how pieces differ.
    std::optional<Interval> interval() const;

private:
    double x_ = 0, y_ = 0;
    std::int64_t pieces_ = 0;      // with a y above 0
    std::vector<double> xs_, ys_;  // by replicate
};

}  // namespace locus
