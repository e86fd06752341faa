// distance_retrieval: the letter that stands exactly k places after a marker.
//
//   construction   letters at random; one marker, whose token says k (plus4: four places to its right), and one [MASK] anywhere else. Both rows
//                  are to name the letter k places after the marker: the marker itself in one step, by distance; the mask in two, since it has to
//                  find the marker first, by content (condition "carried")
//   worked line    c  plus2  a  f  b  [MASK]  h     row 1: f    row 5: f
//   distinguishes  how finely an encoding resolves distances, by k
//   expected       rope and tables with a row per distance (shaw, disentangled): 1 for every k in reach. t5_bias and other bucketed tables blur
//                  far distances, alibi falls with k. Symmetric encodings mix up k to the left and to the right. none: the floor
//   floor          an answer is one of the visible letters, each as likely as it is frequent
//   oracle         reads the letter; 1
//   source         induction by position, after the retrieval tasks of Kazemnejad et al. 2023, arXiv:2305.19466

#include <algorithm>

#include <fmt/format.h>

#include "data/probes/probe.h"

namespace locus {
namespace {

using Ids = std::vector<std::int32_t>;

std::int64_t symbol_count(const ProbeSettings& settings) { return integer_option(settings, "symbols"); }

std::vector<std::string> symbols(const ProbeSettings& settings) {
    std::vector<std::string> all = letters(symbol_count(settings));
    for (const std::int64_t distance : list_option(settings, "distances"))
        all.push_back(fmt::format("plus{}", distance));
    return all;
}

std::int64_t shortest(const ProbeSettings& settings) {
    const std::vector<std::int64_t>& distances = list_option(settings, "distances");
    return *std::max_element(distances.begin(), distances.end()) + 3;
}

void make(const ProbeSettings& settings, std::int64_t length, ProbeSplit, ProbeDraws& draws, ProbeExample& example) {
    const std::int64_t count = symbol_count(settings);
    for (std::int32_t& id : example.ids) id = first_symbol + static_cast<std::int32_t>(draws.below(count));
    const std::vector<std::int64_t>& distances = list_option(settings, "distances");
    const std::int64_t number = draws.below(static_cast<std::int64_t>(distances.size()));
    const std::int64_t distance = distances[static_cast<std::size_t>(number)];
    const std::int64_t marker = draws.between(0, length - 1 - distance), source = marker + distance;
    std::int64_t row = draws.below(length - 2);  // any place but these two
    if (row >= marker) ++row;
    if (row >= source) ++row;
    example.ids[static_cast<std::size_t>(marker)] = first_symbol + static_cast<std::int32_t>(count + number);
    example.ids[static_cast<std::size_t>(row)] = mask_id;
    const std::int32_t answer = example.ids[static_cast<std::size_t>(source)];
    if (row < marker) ask(example, row, answer, -distance);
    ask(example, marker, answer, distance);
    if (row > marker) ask(example, row, answer, -distance);
}

std::int32_t oracle(const ProbeSettings& settings, const Ids& ids, std::int32_t) {
    const std::int64_t first_marker = first_symbol + symbol_count(settings);
    std::size_t marker = 0;
    while (ids[marker] < first_marker) ++marker;
    const auto number = static_cast<std::size_t>(ids[marker] - first_marker);
    return ids[marker + static_cast<std::size_t>(list_option(settings, "distances")[number])];
}

void floor(const ProbeSettings& settings, const Ids& ids, std::int32_t, std::vector<double>& weights) {
    for (const std::int32_t id : ids)
        if (id >= first_symbol && id < first_symbol + symbol_count(settings))
            weights[static_cast<std::size_t>(id)] += 1;
}

/// The distance, negative for the mask's row.
std::string condition(std::int32_t number) {
    return number > 0 ? fmt::format("distance={}", number) : fmt::format("distance={} carried", -number);
}

}  // namespace

const Probe distance_retrieval_probe{
    .name = "distance_retrieval",
    .summary = "the letter that stands k places after a marker",
    .options = {{"distances", std::vector<std::int64_t>{2, 4, 8, 16, 32}, {}, 1, 65536, "k, told by the marker"},
                {"symbols", std::int64_t{8}, {}, 2, 26, "letters"}},
    .symbols = symbols,
    .shortest = shortest,
    .make = make,
    .oracle = oracle,
    .floor = floor,
    .condition = condition};

}  // namespace locus
