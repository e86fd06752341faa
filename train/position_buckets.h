#pragma once
// Losses sorted by where the target stands in its chunk, with the intervals of their means.
//
//   all        every target
//   interior   targets at least L / 2 tokens away from both edges of their chunk, at every evaluated length above L: the same targets in the rows of
//              every length, so that what they lose is no matter of edges. (At L itself no target is that far from both.) Absent when
//              no length is above L, or none of the text is that far inside
//   edge       by the distance to the nearest edge of its own chunk, in tokens of text between the two: 0-7, 8-15, 16-31, 32-63, ...
//   index      by the position that the model is told, special tokens counted: [0, L), [L, 2 L), ...: the first is what training has seen
//
// L is the training length, or where it is not known the shortest of the evaluated ones.

#include <string>
#include <vector>

#include "data/paired_windows.h"
#include "train/bootstrap.h"
#include "train/chunk_losses.h"

namespace locus {

/// The range of a bucket, begin .. end - 1.
struct Bucket {
    std::string name;
    std::int64_t begin = 0, end = 0;
};

/// What is known of the targets of a bucket.
struct BucketSums {
    Bucket bucket;
    BootstrappedRatio loss = {}, delta = {};  // per target; delta: minus the loss at L of the same targets
    std::int64_t masked = 0, correct = 0;
};

/// By place in a window's text: whether targets there are in the bucket `interior`, given the chunks of each length above L.
std::vector<bool> interior_places(std::int64_t window, std::int64_t train_length,
                                  const std::vector<std::vector<Chunk>>& longer);

/// The buckets of one length.
class PositionBuckets {
public:
    struct Layout {
        std::int64_t length = 0;          // of the chunks, special tokens counted
        std::int64_t train_length = 0;    // L
        std::int64_t longest = 0;         // of all evaluated lengths
        std::int64_t first_index = 0;     // position of a chunk's first token of text
        std::vector<Chunk> chunks;        // of a window
        std::vector<bool> interior = {};  // interior_places()
    };
    explicit PositionBuckets(Layout layout);

    /// One window. `reference`: its losses at L; absent (empty `loss`): delta is not defined. `counts`: draw_counts() of the window.
    void add(const MaskedSample& window, const TargetLosses& losses, const TargetLosses& reference,
             const std::vector<double>& counts);

    /// Those that hold a target.
    std::vector<BucketSums> filled() const;

private:
    std::size_t edge_bucket(std::int64_t distance) const;
    std::size_t index_bucket(std::int64_t index) const;

    Layout layout_;
    std::size_t first_edge_ = 2, first_index_bucket_ = 0;
    std::vector<BucketSums> buckets_;  // all, interior, edges, indices
};

}  // namespace locus
