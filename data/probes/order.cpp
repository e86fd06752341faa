// order: which of two words comes first?
//
//   construction   anna, bert and a [MASK] at three random places among fillers. The mask is "before" when anna stands before bert, else "after".
//                  The places are drawn without regard to direction and the fillers independently: a sequence and its mirror image are equally
//                  likely and have opposite answers. With more questions, more masks ask the same at other places, which is learnt sooner
//   worked line    c  bert  a  [MASK]  f  anna  b     row 3: after
//   distinguishes  encodings that know left from right from those that know distances only
//   expected       signed encodings: 1. An encoding that sees |i - j| only gives the mirrored sequence the mirrored outputs, so of each pair it is
//                  right once: exactly one half, however long it trains. A [CLS] at one end is a landmark from which even such an encoding could
//                  tell the direction: hence none here, and the question at a random place. none: the floor
//   floor          the bag does not change when anna and bert trade places: one half, ln 2
//   oracle         compares the two places; 1
//   source         Yan et al. 2019 (TENER), arXiv:1911.04474, on distance without direction

#include <algorithm>
#include <vector>

#include "data/probes/probe.h"

namespace locus {
namespace {

using Ids = std::vector<std::int32_t>;

enum Word : std::int32_t { anna = first_symbol, bert, before, after, first_filler };

std::vector<std::string> symbols(const ProbeSettings& settings) {
    std::vector<std::string> all{"anna", "bert", "before", "after"};
    const std::vector<std::string> fillers = letters(integer_option(settings, "fillers"));
    all.insert(all.end(), fillers.begin(), fillers.end());
    return all;
}

std::int64_t shortest(const ProbeSettings& settings) { return 2 + integer_option(settings, "questions"); }

/// Different places, every choice of them equally likely.
std::vector<std::int64_t> draw_places(std::int64_t length, std::int64_t count, ProbeDraws& draws) {
    std::vector<std::int64_t> places;
    while (static_cast<std::int64_t>(places.size()) < count) {
        const std::int64_t place = draws.below(length);
        if (std::find(places.begin(), places.end(), place) == places.end()) places.push_back(place);
    }
    return places;
}

void make(const ProbeSettings& settings, std::int64_t length, ProbeSplit, ProbeDraws& draws, ProbeExample& example) {
    const std::int64_t fillers = integer_option(settings, "fillers");
    for (std::int32_t& id : example.ids) id = first_filler + static_cast<std::int32_t>(draws.below(fillers));
    std::vector<std::int64_t> places = draw_places(length, shortest(settings), draws);
    const std::int32_t answer = places[0] < places[1] ? before : after;
    example.ids[static_cast<std::size_t>(places[0])] = anna;
    example.ids[static_cast<std::size_t>(places[1])] = bert;
    std::sort(places.begin() + 2, places.end());
    for (auto place = places.begin() + 2; place != places.end(); ++place) {
        example.ids[static_cast<std::size_t>(*place)] = mask_id;
        ask(example, *place, answer, 0);
    }
}

std::int32_t oracle(const ProbeSettings&, const Ids& ids, std::int32_t) {
    return std::find(ids.begin(), ids.end(), anna) < std::find(ids.begin(), ids.end(), bert) ? before : after;
}

void floor(const ProbeSettings&, const Ids&, std::int32_t, std::vector<double>& weights) {
    weights[before] = weights[after] = 1;
}

}  // namespace

const Probe order_probe{.name = "order",
                        .summary = "which of two words comes first",
                        .options = {{"fillers", std::int64_t{8}, {}, 1, 26, "filler letters"},
                                    {"questions", std::int64_t{1}, {}, 1, 64, "masks that ask"}},
                        .symbols = symbols,
                        .shortest = shortest,
                        .make = make,
                        .oracle = oracle,
                        .floor = floor,
                        .condition = nullptr};

}  // namespace locus
