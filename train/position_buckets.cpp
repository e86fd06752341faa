#include "train/position_buckets.h"

#include <algorithm>
#include <bit>

namespace locus {

namespace {

constexpr std::size_t all_bucket = 0, interior_bucket = 1;
constexpr std::int64_t nearest_edges = 8;  // distances of the first edge bucket

std::int64_t edge_distance(const Chunk& chunk, std::int64_t place) {
    return std::min(place - chunk.begin, chunk.end - 1 - place);
}

/// 0 for 0-7, 1 for 8-15, 2 for 16-31, ...
std::size_t doubling(std::int64_t distance) {
    if (distance < nearest_edges) return 0;
    return static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(distance / nearest_edges)));
}

}  // namespace

std::vector<bool> interior_places(std::int64_t window, std::int64_t train_length,
                                  const std::vector<std::vector<Chunk>>& longer) {
    std::vector<std::size_t> lengths(static_cast<std::size_t>(window));  // at which the place is far inside
    for (const std::vector<Chunk>& chunks : longer)
        for (const Chunk& chunk : chunks)
            for (std::int64_t place = chunk.scored_begin; place < chunk.scored_end; ++place)
                if (edge_distance(chunk, place) >= train_length / 2) ++lengths[static_cast<std::size_t>(place)];
    std::vector<bool> interior;
    for (const std::size_t count : lengths) interior.push_back(!longer.empty() && count == longer.size());
    return interior;
}

PositionBuckets::PositionBuckets(Layout layout) : layout_(std::move(layout)) {
    const auto add = [&](const char* name, std::int64_t begin, std::int64_t end) {
        buckets_.push_back({.bucket = {name, begin, end}});
    };
    const std::int64_t farthest = layout_.length / 2, unit = layout_.train_length;
    add("all", 0, layout_.length);
    add("interior", unit / 2, layout_.longest / 2);
    for (std::int64_t begin = 0, end = nearest_edges; begin <= farthest; begin = end, end *= 2) add("edge", begin, end);
    first_index_bucket_ = buckets_.size();
    for (std::int64_t begin = 0; begin < layout_.first_index + layout_.length; begin += unit)
        add("index", begin, begin + unit);
}

std::size_t PositionBuckets::edge_bucket(std::int64_t distance) const { return first_edge_ + doubling(distance); }

std::size_t PositionBuckets::index_bucket(std::int64_t index) const {
    return first_index_bucket_ + static_cast<std::size_t>(index / layout_.train_length);
}

void PositionBuckets::add(const MaskedSample& window, const TargetLosses& losses, const TargetLosses& reference,
                          const std::vector<double>& counts) {
    struct Sums {
        double loss = 0, delta = 0;
        std::int64_t masked = 0, correct = 0;
    };
    std::vector<Sums> sums(buckets_.size());
    const bool has_reference = !reference.loss.empty();
    for (const Chunk& chunk : layout_.chunks) {
        const TargetRange scored = scored_targets(window, chunk);
        for (std::size_t target = scored.first; target < scored.last; ++target) {
            const std::int64_t place = window.positions[target];
            const auto put = [&](std::size_t bucket) {
                Sums& sum = sums[bucket];
                sum.loss += losses.loss[target];
                if (has_reference) sum.delta += losses.loss[target] - reference.loss[target];
                ++sum.masked;
                sum.correct += losses.correct[target];
            };
            put(all_bucket);
            if (layout_.interior[static_cast<std::size_t>(place)]) put(interior_bucket);
            put(edge_bucket(edge_distance(chunk, place)));
            put(index_bucket(layout_.first_index + place - chunk.begin));
        }
    }
    for (std::size_t n = 0; n < sums.size(); ++n) {
        if (sums[n].masked == 0) continue;
        const auto masked = static_cast<double>(sums[n].masked);
        buckets_[n].loss.add(sums[n].loss, masked, counts);
        if (has_reference) buckets_[n].delta.add(sums[n].delta, masked, counts);
        buckets_[n].masked += sums[n].masked;
        buckets_[n].correct += sums[n].correct;
    }
}

std::vector<BucketSums> PositionBuckets::filled() const {
    std::vector<BucketSums> filled;
    std::copy_if(buckets_.begin(), buckets_.end(), std::back_inserter(filled),
                 [](const BucketSums& sums) { return sums.masked > 0; });
    return filled;
}

}  // namespace locus
