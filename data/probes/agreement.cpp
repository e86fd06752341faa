// agreement: a verb agrees with its subject across a distance, past nouns that would mislead it.
//
//   construction   a subject after "the" (the cats), its verb masked d places after the noun, fillers elsewhere. Attractors, nouns after "near"
//                  (near dog) of either number, stand anywhere else, between or around. The verb is "runs" for one, "run" for several. Training draws
//                  d from the smallest to the largest of the distances, so that the distance itself does not give the subject away
//   worked line    b  the  cats  e  near  dog  a  [MASK]  c     row 7: run     (distance 5)
//   distinguishes  content and neighbourhood (which noun follows "the") that must be carried over a distance, from distance itself. The test split
//                  asks at the distances themselves, and doubles the largest one as long as it fits: what of a loss at longer lengths is attention spread too thin
//   expected       any encoding that sees the neighbour to the left: near 1 at all distances; those whose reach is short fall with d. none: the floor
//   floor          numbers are drawn independently, so the subject is any of the nouns: the share of plurals among them
//   oracle         reads the noun after "the"; 1
//   source         Linzen et al. 2016, arXiv:1611.01368

#include <algorithm>

#include <fmt/format.h>

#include "data/probes/probe.h"

namespace locus {
namespace {

using Ids = std::vector<std::int32_t>;

enum Word : std::int32_t { the = first_symbol, near, cat, dog, cats, dogs, runs, run, first_filler };
constexpr std::int64_t filler_count = 8;

bool is_noun(std::int32_t id) { return id >= cat && id <= dogs; }
bool is_plural(std::int32_t noun) { return noun >= cats; }

std::vector<std::string> symbols(const ProbeSettings&) {
    std::vector<std::string> all{"the", "near", "cat", "dog", "cats", "dogs", "runs", "run"};
    const std::vector<std::string> fillers = letters(filler_count);
    all.insert(all.end(), fillers.begin(), fillers.end());
    return all;
}

std::int64_t largest_distance(const ProbeSettings& settings) {
    const std::vector<std::int64_t>& distances = list_option(settings, "distances");
    return *std::max_element(distances.begin(), distances.end());
}

std::int64_t shortest(const ProbeSettings& settings) { return largest_distance(settings) + 2; }

std::int64_t draw_distance(const ProbeSettings& settings, std::int64_t length, ProbeSplit split, ProbeDraws& draws) {
    std::vector<std::int64_t> distances = list_option(settings, "distances");
    if (split == ProbeSplit::train)
        return draws.between(*std::min_element(distances.begin(), distances.end()), largest_distance(settings));
    if (split == ProbeSplit::test)
        for (std::int64_t far = 2 * largest_distance(settings); far + 2 <= length; far *= 2) distances.push_back(far);
    return draws.of(distances);
}

std::int32_t draw_noun(ProbeDraws& draws) { return cat + static_cast<std::int32_t>(draws.below(4)); }

/// "near" and a noun on two fillers side by side; left out when none are found soon.
void place_attractor(std::int64_t length, ProbeDraws& draws, Ids& ids) {
    for (int attempt = 0; attempt < 16; ++attempt) {
        const auto at = static_cast<std::size_t>(draws.below(length - 1));
        if (ids[at] < first_filler || ids[at + 1] < first_filler) continue;
        ids[at] = near;
        ids[at + 1] = draw_noun(draws);
        return;
    }
}

void make(const ProbeSettings& settings, std::int64_t length, ProbeSplit split, ProbeDraws& draws,
          ProbeExample& example) {
    for (std::int32_t& id : example.ids) id = first_filler + static_cast<std::int32_t>(draws.below(filler_count));
    const std::int64_t distance = draw_distance(settings, length, split, draws);
    const std::int64_t article = draws.between(0, length - 2 - distance), verb = article + 1 + distance;
    const std::int32_t subject = draw_noun(draws);
    example.ids[static_cast<std::size_t>(article)] = the;
    example.ids[static_cast<std::size_t>(article + 1)] = subject;
    example.ids[static_cast<std::size_t>(verb)] = mask_id;
    for (std::int64_t n = 0; n < integer_option(settings, "attractors"); ++n)
        place_attractor(length, draws, example.ids);
    ask(example, verb, is_plural(subject) ? run : runs, distance);
}

std::int32_t oracle(const ProbeSettings&, const Ids& ids, std::int32_t) {
    const auto article = std::find(ids.begin(), ids.end(), the);
    return is_plural(*(article + 1)) ? run : runs;
}

void floor(const ProbeSettings&, const Ids& ids, std::int32_t, std::vector<double>& weights) {
    for (const std::int32_t id : ids)
        if (is_noun(id)) weights[is_plural(id) ? run : runs] += 1;
}

std::string condition(std::int32_t distance) { return fmt::format("distance={}", distance); }

}  // namespace

const Probe agreement_probe{.name = "agreement",
                            .summary = "a masked verb agrees with a subject d places before it, past misleading nouns",
                            .options = {{"distances",
                                         std::vector<std::int64_t>{2, 4, 8, 16, 32},
                                         {},
                                         1,
                                         65536,
                                         "from the subject to its verb; training has all between them"},
                                        {"attractors", std::int64_t{3}, {}, 0, 64, "misleading nouns, where they fit"}},
                            .symbols = symbols,
                            .shortest = shortest,
                            .make = make,
                            .oracle = oracle,
                            .floor = floor,
                            .condition = condition};

}  // namespace locus
