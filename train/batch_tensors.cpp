#include "train/batch_tensors.h"

#include <algorithm>

namespace locus {
namespace {

// Tensors have no read-only variant; the model does not write to its input.
Tensor view(const std::vector<std::int32_t>& values) {
    return Tensor(const_cast<std::int32_t*>(values.data()), {static_cast<std::int64_t>(values.size())}, DType::int32);
}

}  // namespace

void BatchTensors::fill(const TokenBatch& batch, std::int64_t first_sequence, std::int64_t first_position) {
    positions_.resize(static_cast<std::size_t>(batch.rows()));
    sequences_.resize(positions_.size());
    const auto shift = static_cast<std::int32_t>(first_position);
    std::int32_t longest = 0;
    for (std::size_t s = 0; s + 1 < batch.offsets.size(); ++s) {
        const std::int32_t begin = batch.offsets[s];
        const std::int32_t end = batch.offsets[s + 1];
        longest = std::max(longest, end - begin);
        for (std::int32_t row = begin; row < end; ++row) {
            positions_[static_cast<std::size_t>(row)] = shift + row - begin;
            sequences_[static_cast<std::size_t>(row)] =
                static_cast<std::int32_t>(first_sequence) + static_cast<std::int32_t>(s);
        }
    }
    input_ = {.ids = view(batch.ids),
              .rows = {.offsets = view(batch.offsets), .positions = view(positions_)},
              .dropout_rows = {.sequence = view(sequences_), .position = view(positions_)},
              .longest = shift + longest};
    targets_ = {.rows = view(batch.masked_rows), .ids = view(batch.targets)};
}

}  // namespace locus
