#include "data/masking.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "data/error.h"
#include "kernels/random.h"

namespace locus {
namespace {

constexpr std::uint32_t draw_order = 0, draw_replacement = 1, draw_length = 2, draw_count = 3;

/// Working memory of apply(), kept per thread so that a step allocates nothing.
struct Scratch {
    std::vector<std::int32_t> words;  // where each maskable word begins; the places between two are its tokens
    std::vector<std::int32_t> ends;
    std::vector<std::int32_t> order;  // indices of words, shuffled as far as was needed
    std::vector<char> taken;          // by word
};
thread_local Scratch scratch;

bool is_reserved(const std::string& token) { return token.compare(0, 7, "[unused") == 0; }

void check(const MaskingSettings& settings) {
    const auto is_share = [](double value) { return value >= 0.0 && value <= 1.0; };
    if (!(settings.probability > 0.0 && settings.probability <= 1.0)) {
        throw DataError(fmt::format("data.masking.probability: {} is not above 0 and at most 1", settings.probability));
    }
    if (!is_share(settings.mask) || !is_share(settings.random) || !is_share(settings.keep) ||
        !(std::abs(settings.mask + settings.random + settings.keep - 1.0) <= 1e-6)) {
        throw DataError(fmt::format("data.masking: mask {}, random {} and keep {} must be shares that add up to 1",
                                    settings.mask, settings.random, settings.keep));
    }
    if (settings.unit != "token" && settings.unit != "whole_word" && settings.unit != "span") {
        throw DataError(
            fmt::format("data.masking.unit: {} is not known; choose token, whole_word or span", settings.unit));
    }
    if (settings.unit == "span" && settings.longest_span < 1) {
        throw DataError(fmt::format("data.masking.longest_span: {} is below 1", settings.longest_span));
    }
}

}  // namespace

Masking::Masking(const MaskingSettings& settings, const Tokenizer& tokenizer)
    : settings_(settings), mask_id_(tokenizer.special().mask) {
    check(settings);
    const auto size = static_cast<std::size_t>(tokenizer.vocab_size());
    special_.resize(size);
    continues_word_.resize(size);
    for (std::size_t i = 0; i < size; ++i) {
        const auto id = static_cast<std::int32_t>(i);
        special_[i] = tokenizer.is_special(id);
        continues_word_[i] = tokenizer.continues_word(id);
        if (!special_[i] && !is_reserved(tokenizer.token(id))) ordinary_.push_back(id);
    }
    if (ordinary_.empty()) throw DataError("the vocabulary has special tokens only; train the tokenizer on more text");
    double sum = 0.0;
    for (std::int64_t length = 1; length <= settings.longest_span; ++length) {
        sum += 1.0 / static_cast<double>(length);
        span_ends_.push_back(sum);
    }
    for (double& end : span_ends_) end /= sum;
}

bool Masking::whole_words_are_tokens() const {
    const auto continuing = std::count(continues_word_.begin(), continues_word_.end(), true);
    return continuing * 100 < static_cast<std::int64_t>(ordinary_.size());
}

/// The units that are chosen whole: words, or tokens when the unit is the token.
void Masking::find_words(const std::vector<std::int32_t>& ids) const {
    scratch.words.clear();
    scratch.ends.clear();
    bool inside = false;  // the token before can be continued
    for (std::size_t i = 0; i < ids.size(); ++i) {
        const auto id = static_cast<std::size_t>(ids[i]);
        if (id >= special_.size()) {
            throw std::out_of_range(fmt::format("token id {} in a vocabulary of {}", ids[i], special_.size()));
        }
        const auto place = static_cast<std::int32_t>(i);
        if (special_[id]) {
            inside = false;
        } else if (inside && continues_word_[id] && settings_.unit != "token") {
            scratch.ends.back() = place + 1;
        } else {
            scratch.words.push_back(place);
            scratch.ends.push_back(place + 1);
            inside = true;
        }
    }
}

std::int64_t Masking::span_length(std::uint32_t bits) const {
    const auto end = std::upper_bound(span_ends_.begin(), span_ends_.end() - 1, uniform(bits));
    return end - span_ends_.begin() + 1;
}

/// Takes words in random order until `wanted` tokens are taken.
void Masking::choose(std::int64_t wanted, std::uint32_t seed, std::uint32_t epoch, std::uint32_t sample) const {
    auto& [words, ends, order, taken] = scratch;
    const std::size_t count = words.size();
    order.resize(count);
    for (std::size_t i = 0; i < count; ++i) order[i] = static_cast<std::int32_t>(i);
    taken.assign(count, 0);
    std::int64_t tokens = 0;
    for (std::size_t i = 0; i < count && tokens < wanted; ++i) {
        const PhiloxKey key = {seed, stream_masking};
        const auto draw = [&](std::uint32_t kind) {
            return philox(key, {static_cast<std::uint32_t>(i), kind, sample, epoch})[0];
        };
        std::swap(order[i], order[i + below(draw(draw_order), static_cast<std::uint32_t>(count - i))]);
        auto word = static_cast<std::size_t>(order[i]);
        std::int64_t left = settings_.unit == "span" ? span_length(draw(draw_length)) : 1;
        for (; left > 0 && taken[word] == 0; --left, ++word) {
            const std::int64_t size = ends[word] - words[word];
            if (tokens > 0 && tokens + size > wanted) break;
            taken[word] = 1;
            tokens += size;
            if (word + 1 == count || words[word + 1] != ends[word]) break;  // a special token stands between
        }
    }
}

void Masking::apply(const std::vector<std::int32_t>& ids, std::uint32_t seed, std::uint32_t epoch, std::uint32_t sample,
                    MaskedSample& out) const {
    out.ids = ids;
    out.positions.clear();
    out.targets.clear();
    find_words(ids);
    std::int64_t maskable = 0;
    for (std::size_t word = 0; word < scratch.words.size(); ++word)
        maskable += scratch.ends[word] - scratch.words[word];
    if (maskable == 0) return;
    const double u = uniform(philox({seed, stream_masking}, {0, draw_count, sample, epoch})[0]);
    const auto wanted = static_cast<std::int64_t>(settings_.probability * static_cast<double>(maskable) + u);
    choose(std::max<std::int64_t>(1, wanted), seed, epoch, sample);
    for (std::size_t word = 0; word < scratch.words.size(); ++word) {
        if (scratch.taken[word] == 0) continue;
        for (std::int32_t place = scratch.words[word]; place < scratch.ends[word]; ++place) {
            const auto i = static_cast<std::size_t>(place);
            out.positions.push_back(place);
            out.targets.push_back(ids[i]);
            const Philox4 bits =
                philox({seed, stream_masking}, {static_cast<std::uint32_t>(place), draw_replacement, sample, epoch});
            const double share = uniform(bits[0]);
            if (share < settings_.mask) {
                out.ids[i] = mask_id_;
            } else if (share < settings_.mask + settings_.random) {
                out.ids[i] = ordinary_[below(bits[1], static_cast<std::uint32_t>(ordinary_.size()))];
            }
        }
    }
}

}  // namespace locus
