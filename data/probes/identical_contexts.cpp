// identical_contexts: "a new store opened beside the new mall", both nouns masked. Are relative positions enough?
//
//   construction   variant sentence: the sentence of DeBERTa's paper at a random place among fillers; the first mask is store, the second mall.
//                  variant two_masks: the same with "new [MASK] and new [MASK]".
//                  variant periodic: a tape (open [MASK] close) repeated over the whole sequence; the mask of occurrence j names s_j, a fixed
//                  random sequence of the probe's seed. There is one example per length
//   worked line    people a new [MASK] opened beside the new [MASK] often     row 3: store    row 8: mall
//                  open [MASK] close open [MASK] close open [MASK]            rows 1, 4, 7: d a a, in every example
//   distinguishes  whether a context tells two masks apart by itself, or only the absolute position does
//   expected       sentence and two_masks: every signed relative encoding reaches 1, since "opened" or "and" stands on another side: the paper's
//                  example needs no absolute positions. periodic: absolute encodings and the enhanced mask decoder reach 1; a relative encoding has
//                  only the two ends of the tape to go by, which it can read as far as it sees, so the rows near an end are reported apart
//                  (condition "near an end": within 8 tokens). none: the floor, everywhere
//   floor          equal tokens get equal logits: one half and ln 2 for the two nouns, the frequencies of s for the tape
//   oracle         looks at the next token, or counts the occurrence; 1
//   source         He et al. 2021, arXiv:2006.03654, section 3.2

#include <algorithm>
#include <array>

#include "data/probes/probe.h"

namespace locus {
namespace {

using Ids = std::vector<std::int32_t>;

enum Word : std::int32_t { store = first_symbol, mall, a, new_, opened, beside, the, and_, first_filler };
enum TapeWord : std::int32_t { open = first_symbol, close, first_letter };
enum Condition : std::int32_t { first_mask, second_mask, near_an_end, interior };
constexpr std::int64_t filler_count = 8, letter_count = 8, end_reach = 8;

constexpr std::array<std::int32_t, 8> sentence{a, new_, mask_id, opened, beside, the, new_, mask_id};
constexpr std::array<std::int32_t, 5> two_masks{new_, mask_id, and_, new_, mask_id};

bool is_tape(const ProbeSettings& settings) { return text_option(settings, "variant") == "periodic"; }

std::vector<std::string> symbols(const ProbeSettings& settings) {
    if (!is_tape(settings))
        return {"store", "mall",   "a",     "new",   "opened", "beside", "the",  "and",
                "today", "people", "often", "quiet", "green",  "town",   "tall", "slowly"};
    std::vector<std::string> all{"open", "close"};
    const std::vector<std::string> named = letters(letter_count);
    all.insert(all.end(), named.begin(), named.end());
    return all;
}

std::int64_t shortest(const ProbeSettings&) { return 8; }

std::int32_t tape_letter(const ProbeSettings& settings, std::int64_t row) {
    return first_letter + static_cast<std::int32_t>(fixed_sequence(settings, row / 3, letter_count));
}

void make_tape(const ProbeSettings& settings, std::int64_t length, ProbeExample& example) {
    for (std::int64_t row = 0; row < length; ++row) {
        if (row % 3 != 1) {
            example.ids[static_cast<std::size_t>(row)] = row % 3 == 0 ? open : close;
            continue;
        }
        const bool is_near = std::min(row, length - 1 - row) < end_reach;
        ask(example, row, tape_letter(settings, row), is_near ? near_an_end : interior);
    }
}

template <std::size_t size>
void make_phrase(const std::array<std::int32_t, size>& phrase, std::int64_t length, ProbeDraws& draws,
                 ProbeExample& example) {
    for (std::int32_t& id : example.ids) id = first_filler + static_cast<std::int32_t>(draws.below(filler_count));
    const std::int64_t start = draws.between(0, length - static_cast<std::int64_t>(size));
    std::copy(phrase.begin(), phrase.end(), example.ids.begin() + start);
    for (std::int64_t row = start; row < start + static_cast<std::int64_t>(size); ++row) {
        if (example.ids[static_cast<std::size_t>(row)] != mask_id) continue;
        const bool is_first = example.rows.empty();
        ask(example, row, is_first ? store : mall, is_first ? first_mask : second_mask);
    }
}

void make(const ProbeSettings& settings, std::int64_t length, ProbeSplit, ProbeDraws& draws, ProbeExample& example) {
    if (is_tape(settings)) return make_tape(settings, length, example);
    if (text_option(settings, "variant") == "sentence") return make_phrase(sentence, length, draws, example);
    make_phrase(two_masks, length, draws, example);
}

std::int32_t oracle(const ProbeSettings& settings, const Ids& ids, std::int32_t row) {
    if (is_tape(settings)) return tape_letter(settings, row);
    const auto next = static_cast<std::size_t>(row) + 1;
    return next < ids.size() && (ids[next] == opened || ids[next] == and_) ? store : mall;
}

void floor(const ProbeSettings& settings, const Ids& ids, std::int32_t, std::vector<double>& weights) {
    if (!is_tape(settings)) {
        weights[store] = weights[mall] = 1;
        return;
    }
    for (std::size_t row = 1; row < ids.size(); row += 3)
        weights[static_cast<std::size_t>(tape_letter(settings, static_cast<std::int64_t>(row)))] += 1;
}

std::string condition(std::int32_t number) {
    static const std::array<const char*, 4> names{"first mask", "second mask", "near an end", "interior"};
    return names.at(static_cast<std::size_t>(number));
}

}  // namespace

const Probe identical_contexts_probe{
    .name = "identical_contexts",
    .summary = "two masks in the same surroundings, or many on a periodic tape",
    .options = {{"variant",
                 std::string("sentence"),
                 {"sentence", "two_masks", "periodic"},
                 0,
                 0,
                 "sentence, two_masks: the context tells them apart; periodic: only the index does"}},
    .symbols = symbols,
    .shortest = shortest,
    .make = make,
    .oracle = oracle,
    .floor = floor,
    .condition = condition,
    .is_constant = is_tape};

}  // namespace locus
