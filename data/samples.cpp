#include "data/samples.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "data/error.h"
#include "kernels/random.h"

namespace locus {
namespace {

constexpr std::int64_t fewest_tokens = 8;  // of a sample

}  // namespace

Samples::Samples(const TokenShards& shards, const DataSettings& settings, const SpecialTokens& special)
    : shards_(shards),
      special_(special),
      window_(settings.sequence_length - (settings.boundary == "cls_sep" ? 2 : 0)),
      cls_sep_(settings.boundary == "cls_sep") {
    if (!cls_sep_ && settings.boundary != "none") {
        throw DataError(fmt::format("data.boundary: {} is not known; choose cls_sep or none", settings.boundary));
    }
    if (window_ < 1) {
        throw DataError(fmt::format("data.sequence_length: {} leaves no room for text{}", settings.sequence_length,
                                    cls_sep_ ? " between [CLS] and [SEP]" : ""));
    }
    slots_ = shards.tokens() + (cls_sep_ ? shards.documents() : 0);
    const std::int64_t whole = slots_ / window_;
    const std::int64_t left = shards.tokens() - tokens_before(whole * window_);
    count_ = whole + (left >= fewest_tokens ? 1 : 0);
    if (count_ == 0) {
        throw DataError(fmt::format("the text has {} tokens in {} documents; one sample of {} needs at least {}",
                                    shards.tokens(), shards.documents(), settings.sequence_length, fewest_tokens));
    }
    if (count_ > std::numeric_limits<std::uint32_t>::max()) {
        throw DataError(
            fmt::format("the text gives {} samples, and at most 2^32 - 1 can be numbered; raise "
                        "data.sequence_length, or use less text",
                        count_));
    }
}

/// The document whose tokens or separator stand at `slot`; document d begins at slot document_starts[d] + d.
std::int64_t Samples::document_at(std::int64_t slot) const {
    const auto starts = shards_.document_starts();
    std::int64_t low = 0, high = shards_.documents();  // the document lies in [low, high)
    while (high - low > 1) {
        const std::int64_t middle = low + (high - low) / 2;
        (static_cast<std::int64_t>(starts[static_cast<std::size_t>(middle)]) + middle <= slot ? low : high) = middle;
    }
    return low;
}

std::int64_t Samples::tokens_before(std::int64_t slot) const {
    if (slot >= slots_) return shards_.tokens();
    return cls_sep_ ? slot - document_at(slot) : slot;
}

/// Slots begin .. end-1: tokens, and [SEP] behind each document.
void Samples::append_stream(std::int64_t begin, std::int64_t end, std::vector<std::int32_t>& ids) const {
    const auto starts = shards_.document_starts();
    std::int64_t document = document_at(begin);
    for (std::int64_t slot = begin; slot < end; ++document) {
        const std::int64_t separator =
            static_cast<std::int64_t>(starts[static_cast<std::size_t>(document) + 1]) + document;
        const std::int64_t stop = std::min(end, separator);
        shards_.read(slot - document, stop - document, ids);
        if (separator < end) ids.push_back(special_.sep);
        slot = separator + 1;
    }
}

void Samples::read(std::int64_t index, std::vector<std::int32_t>& ids) const {
    if (index < 0 || index >= count_) {
        throw std::out_of_range(fmt::format("sample {} of {} was asked for", index, count_));
    }
    ids.clear();
    std::int64_t begin = index * window_;
    const std::int64_t end = std::min(begin + window_, slots_);
    if (!cls_sep_) {
        shards_.read(begin, end, ids);
        return;
    }
    const bool closed = tokens_before(end) == tokens_before(end - 1);  // the last slot is a separator
    if (closed && begin > 0) --begin;
    ids.push_back(special_.cls);
    append_stream(begin, end, ids);
    if (!closed) ids.push_back(special_.sep);
}

// A Feistel network over the smallest power of two that holds the places: the halves take turns in being changed by a hash of the other, which
// can be undone and is therefore a bijection. Places that land beyond `count` go through again until they land within (cycle
// walking), twice on average at most.
std::int64_t shuffled(std::int64_t place, std::int64_t count, std::uint32_t seed, std::uint32_t epoch) {
    if (place < 0 || place >= count) {
        throw std::out_of_range(fmt::format("place {} of {} was asked for", place, count));
    }
    constexpr std::uint32_t rounds = 8;  // even, so that the halves end with the widths they began with
    unsigned bits = 0;
    while (bits < 63 && (std::int64_t{1} << bits) < count) ++bits;
    const unsigned left_bits = bits / 2, right_bits = bits - left_bits;
    const std::uint64_t left_mask = (std::uint64_t{1} << left_bits) - 1;
    const std::uint64_t right_mask = (std::uint64_t{1} << right_bits) - 1;
    auto value = static_cast<std::uint64_t>(place);
    do {
        std::uint64_t left = value >> right_bits, right = value & right_mask;
        for (std::uint32_t round = 0; round < rounds; ++round) {
            const std::uint64_t mask = round % 2 == 0 ? left_mask : right_mask;
            const std::uint64_t hash =
                philox({seed, stream_shuffle}, {static_cast<std::uint32_t>(right), round, epoch, 0})[0];
            const std::uint64_t changed = (left ^ hash) & mask;
            left = right;
            right = changed;
        }
        value = left << right_bits | right;
    } while (value >= static_cast<std::uint64_t>(count));
    return static_cast<std::int64_t>(value);
}

}  // namespace locus
