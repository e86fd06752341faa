#include "data/batches.h"

#include <algorithm>

namespace locus {
namespace {

constexpr std::uint32_t validation_seed = 0;

struct Scratch {
    std::vector<std::int32_t> ids;
    MaskedSample masked;
};
thread_local Scratch scratch;

}  // namespace

void TokenBatch::clear() {
    ids.clear();
    offsets.assign(1, 0);
    masked_rows.clear();
    targets.clear();
}

Batches::Batches(const Samples& samples, const Masking& masking, std::uint32_t seed)
    : samples_(samples), masking_(masking), seed_(seed) {}

void Batches::append(std::int64_t sample, std::uint32_t seed, std::uint32_t epoch, TokenBatch& batch) const {
    samples_.read(sample, scratch.ids);
    masking_.apply(scratch.ids, seed, epoch, static_cast<std::uint32_t>(sample), scratch.masked);
    const MaskedSample& masked = scratch.masked;
    const auto first_row = static_cast<std::int32_t>(batch.ids.size());
    batch.ids.insert(batch.ids.end(), masked.ids.begin(), masked.ids.end());
    batch.offsets.push_back(static_cast<std::int32_t>(batch.ids.size()));
    for (const std::int32_t position : masked.positions) batch.masked_rows.push_back(first_row + position);
    batch.targets.insert(batch.targets.end(), masked.targets.begin(), masked.targets.end());
}

void Batches::training(std::int64_t first, std::int64_t size, TokenBatch& batch) const {
    batch.clear();
    const std::int64_t count = samples_.count();
    for (std::int64_t sequence = first; sequence < first + size; ++sequence) {
        const auto epoch = static_cast<std::uint32_t>(sequence / count);
        append(shuffled(sequence % count, count, seed_, epoch), seed_, epoch, batch);
    }
}

void Batches::validation(std::int64_t first, std::int64_t size, TokenBatch& batch) const {
    batch.clear();
    const std::int64_t end = std::min(first + size, samples_.count());
    for (std::int64_t sample = first; sample < end; ++sample) append(sample, validation_seed, validation_epoch, batch);
}

}  // namespace locus
