// phrase_shift: a phrase learnt in one place, met in another.
//
//   construction   a forum where 三楼 (third floor) is greeted after its name, 三楼 你好, and 四楼 (fourth floor) before it, 你好 四楼. One
//                  such phrase stands among fillers, and the floor is masked: [MASK] 你好 is 三楼, 你好 [MASK] is 四楼. Training puts the phrase
//                  into the first half of its sequences only; the test puts it everywhere
//   worked line    今天 楼主 [MASK] 你好 大家     row 2: 三楼          今天 你好 [MASK] 楼主 大家     row 2: 四楼
//   distinguishes  three ways in which a learnt phrase can be lost, one condition and length each
//                    unseen offset   the phrase in the second half of the trained length. fillers: everywhere, the default: these positions
//                                    were trained, but never held the phrase; fillers: first_half: they were never trained at all
//                    beyond          past the trained length: no position was trained
//                    seen offset     of a longer sequence: only the attention is spread over more tokens
//   expected       signed relative encodings: 1 in all conditions. Absolute: 1 at seen offsets, lower at unseen ones, and near one half beyond;
//                  training on random offsets (shape) rescues it. Symmetric encodings cannot tell before from after: exactly one half. none: the floor
//   floor          the bag is 你好, [MASK] and fillers whichever phrase it was: one half, ln 2
//   oracle         looks whether 你好 follows the mask; 1
//   source         the dispute of a forum thread about Su 2021, "Transformer position encodings that rack researchers' brains",
//                  kexue.fm/archives/8130

#include <algorithm>

#include "data/probes/probe.h"

namespace locus {
namespace {

using Ids = std::vector<std::int32_t>;

enum Word : std::int32_t { third_floor = first_symbol, fourth_floor, hello, first_filler };
constexpr std::int64_t filler_count = 8;

enum Condition : std::int32_t { seen_offset, unseen_offset, beyond };

std::vector<std::string> symbols(const ProbeSettings&) {
    return {"三楼", "四楼", "你好", "楼主", "今天", "大家", "我们", "天气", "真的", "觉得", "喜欢"};
}

std::int64_t shortest(const ProbeSettings&) { return 8; }

struct Offsets {
    std::int64_t first, last;
};

/// Where the phrase's first token may stand in a condition; empty: last < first.
Offsets offsets_of(Condition condition, std::int64_t trained, std::int64_t length) {
    const std::int64_t half = trained / 2;
    if (condition == seen_offset) return {0, std::min(half, length) - 2};
    if (condition == unseen_offset) return {half, std::min(trained, length) - 2};
    return {trained, length - 2};
}

Condition draw_condition(std::int64_t trained, std::int64_t length, ProbeSplit split, ProbeDraws& draws) {
    if (split != ProbeSplit::test) return seen_offset;
    std::vector<Condition> possible;
    for (const Condition condition : {seen_offset, unseen_offset, beyond}) {
        const Offsets offsets = offsets_of(condition, trained, length);
        if (offsets.first <= offsets.last) possible.push_back(condition);
    }
    return draws.of(possible);
}

void make(const ProbeSettings& settings, std::int64_t length, ProbeSplit split, ProbeDraws& draws,
          ProbeExample& example) {
    const std::int64_t trained = settings.train_length > 0 ? settings.train_length : length;
    const bool ends_early = split != ProbeSplit::test && text_option(settings, "fillers") == "first_half";
    if (ends_early) example.ids.resize(static_cast<std::size_t>(trained / 2));
    for (std::int32_t& id : example.ids) id = first_filler + static_cast<std::int32_t>(draws.below(filler_count));
    const Condition condition = draw_condition(trained, length, split, draws);
    const Offsets offsets = offsets_of(condition, trained, length);
    const std::int64_t at = draws.between(offsets.first, offsets.last);
    const bool third = draws.below(2) == 0;
    const std::int64_t row = third ? at : at + 1;
    example.ids[static_cast<std::size_t>(row)] = mask_id;
    example.ids[static_cast<std::size_t>(third ? at + 1 : at)] = hello;
    ask(example, row, third ? third_floor : fourth_floor, condition);
}

std::int32_t oracle(const ProbeSettings&, const Ids& ids, std::int32_t row) {
    const auto next = static_cast<std::size_t>(row) + 1;
    return next < ids.size() && ids[next] == hello ? third_floor : fourth_floor;
}

void floor(const ProbeSettings&, const Ids&, std::int32_t, std::vector<double>& weights) {
    weights[third_floor] = weights[fourth_floor] = 1;
}

std::string condition_name(std::int32_t number) {
    if (number == seen_offset) return "seen offset";
    return number == unseen_offset ? "unseen offset" : "beyond";
}

}  // namespace

const Probe phrase_shift_probe{
    .name = "phrase_shift",
    .summary = "a phrase of two words, trained in the first half of the sequence and met everywhere",
    .options = {{"fillers",
                 std::string("everywhere"),
                 {"everywhere", "first_half"},
                 0,
                 0,
                 "first_half: training sequences end where the phrases do, so later positions stay untrained"}},
    .symbols = symbols,
    .shortest = shortest,
    .make = make,
    .oracle = oracle,
    .floor = floor,
    .condition = condition_name};

}  // namespace locus
