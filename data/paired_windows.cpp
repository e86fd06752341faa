#include "data/paired_windows.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "data/error.h"

namespace locus {
namespace {

constexpr std::uint32_t paired_epoch = validation_epoch - 1;  // masks of their own

DataSettings stream_settings(std::int64_t longest, const std::string& boundary) {
    DataSettings settings;
    settings.sequence_length = longest;
    settings.boundary = boundary;
    return settings;
}

MaskingSettings all_masked(double probability) {
    MaskingSettings settings;
    settings.probability = probability;
    settings.mask = 1;
    settings.random = settings.keep = 0;
    return settings;
}

}  // namespace

// Both schemes score one region after the other; a chunk reaches `margin` tokens to the left of its region, or less far left of it at the end of
// the window.
std::vector<Chunk> cut_window(std::int64_t window, std::int64_t size, const std::string& scheme) {
    if (size < 2 || size > window) {
        throw std::invalid_argument(fmt::format("chunks of {} tokens in a window of {}", size, window));
    }
    const bool centred = scheme == "centred";
    if (!centred && scheme != "chunked") throw std::invalid_argument("no scheme is called " + scheme);
    const std::int64_t step = centred ? size / 2 : size, margin = (size - step) / 2;
    const std::int64_t region = centred ? window / 2 : window, first = (window - region) / 2, end = first + region;
    std::vector<Chunk> chunks;
    for (std::int64_t at = first; at < end; at += step) {
        const std::int64_t begin = std::min(at - margin, window - size);
        chunks.push_back({begin, begin + size, at, std::min(at + step, end)});
    }
    return chunks;
}

PairedWindows::PairedWindows(const TokenShards& shards, const Tokenizer& tokenizer, std::int64_t longest,
                             const std::string& boundary, double mask_probability, std::uint32_t seed,
                             std::int64_t count)
    : special_(tokenizer.special()),
      longest_(longest),
      cls_sep_(boundary == "cls_sep"),
      samples_(shards, stream_settings(longest, boundary), tokenizer.special()),
      masking_(all_masked(mask_probability), tokenizer),
      seed_(seed) {
    // Only the first and the last sample can be shorter than a window (samples.h).
    const auto is_whole = [&](std::int64_t sample) {
        std::vector<std::int32_t> ids;
        samples_.read(sample, ids);
        return static_cast<std::int64_t>(ids.size()) == longest_;
    };
    std::int64_t end = samples_.count();
    while (first_ < end && !is_whole(first_)) ++first_;
    while (end > first_ && !is_whole(end - 1)) --end;
    there_ = end - first_;
    if (there_ == 0) {
        throw DataError(
            fmt::format("the text has {} tokens in {} documents, less than one window of {} tokens; give it "
                        "more text, or evaluate at shorter lengths",
                        shards.tokens(), shards.documents(), longest));
    }
    count_ = count > 0 ? std::min(count, there_) : there_;
}

void PairedWindows::read(std::int64_t index, MaskedSample& window) const {
    if (index < 0 || index >= count_) {
        throw std::out_of_range(fmt::format("window {} of {} was asked for", index, count_));
    }
    const std::int64_t sample = first_ + index * there_ / count_;
    std::vector<std::int32_t> ids;
    samples_.read(sample, ids);
    const auto whole = ids.begin() + specials_before();
    masking_.apply({whole, whole + window_tokens()}, seed_, paired_epoch, static_cast<std::uint32_t>(sample), window);
}

TargetRange scored_targets(const MaskedSample& window, const Chunk& chunk) {
    const auto place = [&](std::int64_t at) {
        const auto& positions = window.positions;
        return static_cast<std::size_t>(std::lower_bound(positions.begin(), positions.end(), at) - positions.begin());
    };
    return {place(chunk.scored_begin), place(chunk.scored_end)};
}

void PairedWindows::append(const MaskedSample& window, const Chunk& chunk, TokenBatch& batch) const {
    const TargetRange targets = scored_targets(window, chunk);
    if (targets.first == targets.last) return;
    if (cls_sep_) batch.ids.push_back(special_.cls);
    const auto first_row = static_cast<std::int32_t>(batch.ids.size());
    batch.ids.insert(batch.ids.end(), window.ids.begin() + chunk.begin, window.ids.begin() + chunk.end);
    if (cls_sep_) batch.ids.push_back(special_.sep);
    batch.offsets.push_back(static_cast<std::int32_t>(batch.ids.size()));
    for (std::size_t t = targets.first; t < targets.last; ++t) {
        batch.masked_rows.push_back(first_row + window.positions[t] - static_cast<std::int32_t>(chunk.begin));
        batch.targets.push_back(window.targets[t]);
    }
}

}  // namespace locus
