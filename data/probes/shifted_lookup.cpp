// shifted_lookup: copy the token that stands k places away.
//
//   construction   letters at random; some places hold a question instead, whose token says how far the answer is: left3 in row i asks for
//                  y_i = x_{i-3}, right1 for y_i = x_{i+1}. An answer is never itself a question. Rows are predicted where the questions stand:
//                  the task lies in the token, so neither [MASK] nor [CLS] is needed
//   worked line    c  a  left1  f  right1  b  h       row 2: a    row 4: b
//   distinguishes  direction and distance at once, one step of attention away
//   expected       signed relative encodings and rope: 1, also at longer lengths. Absolute: 1 at the trained length, lost beyond it.
//                  Symmetric encodings see x_{i-k} and x_{i+k} alike and stay near one half. none: the floor
//   floor          letters are drawn independently of the questions, so an answer is one of the visible letters, each as likely as it is frequent
//   oracle         reads the letter; 1
//   source         the copy tasks of Delétang et al. 2023, arXiv:2207.02098, reduced to one offset per token

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "data/probes/probe.h"

namespace locus {
namespace {

using Ids = std::vector<std::int32_t>;

std::int64_t symbol_count(const ProbeSettings& settings) { return integer_option(settings, "symbols"); }

std::vector<std::string> symbols(const ProbeSettings& settings) {
    std::vector<std::string> all = letters(symbol_count(settings));
    for (const std::int64_t shift : list_option(settings, "shifts"))
        all.push_back(fmt::format("{}{}", shift > 0 ? "left" : "right", std::abs(shift)));
    return all;
}

std::int64_t shortest(const ProbeSettings& settings) {
    std::int64_t farthest = 0;
    for (const std::int64_t shift : list_option(settings, "shifts"))
        farthest = std::max<std::int64_t>(farthest, std::abs(shift));
    return farthest + 1;
}

struct Question {
    std::int64_t row, source, number;  // of the list of shifts
};

/// Whether a new question neither takes an answer away nor asks for a question.
bool fits(const Question& question, const std::vector<Question>& others) {
    return std::none_of(others.begin(), others.end(), [&](const Question& other) {
        return other.row == question.row || other.source == question.row || other.row == question.source;
    });
}

Question draw_question(const ProbeSettings& settings, std::int64_t length, ProbeDraws& draws) {
    const std::vector<std::int64_t>& shifts = list_option(settings, "shifts");
    const std::int64_t number = draws.below(static_cast<std::int64_t>(shifts.size()));
    const std::int64_t shift = shifts[static_cast<std::size_t>(number)];
    const std::int64_t row =
        draws.between(std::max<std::int64_t>(shift, 0), length - 1 + std::min<std::int64_t>(shift, 0));
    return {row, row - shift, number};
}

void make(const ProbeSettings& settings, std::int64_t length, ProbeSplit, ProbeDraws& draws, ProbeExample& example) {
    const std::int64_t count = symbol_count(settings);
    for (std::int32_t& id : example.ids) id = first_symbol + static_cast<std::int32_t>(draws.below(count));
    const std::int64_t tries = std::max<std::int64_t>(1, length * integer_option(settings, "percent") / 100);
    std::vector<Question> questions;
    for (std::int64_t n = 0; n < tries; ++n) {
        const Question question = draw_question(settings, length, draws);
        if (fits(question, questions)) questions.push_back(question);
    }
    std::sort(questions.begin(), questions.end(), [](const Question& a, const Question& b) { return a.row < b.row; });
    for (const Question& question : questions) {
        const auto number = static_cast<std::size_t>(question.number);
        ask(example, question.row, example.ids[static_cast<std::size_t>(question.source)],
            list_option(settings, "shifts")[number]);
        example.ids[static_cast<std::size_t>(question.row)] =
            first_symbol + static_cast<std::int32_t>(count + question.number);
    }
}

std::int32_t oracle(const ProbeSettings& settings, const Ids& ids, std::int32_t row) {
    const auto question =
        static_cast<std::size_t>(ids[static_cast<std::size_t>(row)] - first_symbol - symbol_count(settings));
    return ids[static_cast<std::size_t>(row - list_option(settings, "shifts")[question])];
}

void floor(const ProbeSettings& settings, const Ids& ids, std::int32_t, std::vector<double>& weights) {
    for (const std::int32_t id : ids)
        if (id < first_symbol + symbol_count(settings)) weights[static_cast<std::size_t>(id)] += 1;
}

std::string condition(std::int32_t shift) { return fmt::format("shift={:+}", shift); }

}  // namespace

const Probe shifted_lookup_probe{
    .name = "shifted_lookup",
    .summary = "copy the token that stands k places away, k told by the question's token",
    .options = {{"shifts", std::vector<std::int64_t>{1, 3, 8, -1, -3}, {}, -1024, 1024, "k of y_i = x_{i-k}"},
                {"symbols", std::int64_t{8}, {}, 2, 26, "letters"},
                {"percent", std::int64_t{20}, {}, 1, 50, "of the places that questions are tried at"}},
    .symbols = symbols,
    .shortest = shortest,
    .make = make,
    .oracle = oracle,
    .floor = floor,
    .condition = condition};

}  // namespace locus
