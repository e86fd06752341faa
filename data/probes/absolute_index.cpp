// absolute_index: recite a sequence by heart, with nothing to go by but the position.
//
//   construction   every token is [MASK]; row i is to name s_i, a fixed random sequence of the probe's seed. There is one example per length
//   worked line    [MASK] [MASK] [MASK] [MASK] [MASK]     rows 0..4: d a a g b, in every example; with period 2: d a d a d
//   distinguishes  absolute from relative information. Without [CLS] and [SEP], equal tokens in equal surroundings
//   expected       absolute encodings, rnn, shaw with values, the enhanced mask decoder: 1. An encoding that acts inside the softmax only
//                  (t5_bias, alibi, rope, disentangled, transformer_xl ...) averages equal vectors, so all rows get the same logits: the floor,
//                  exactly. boundary: cls_sep breaks that: the distance to [CLS] is the index, and relative encodings read it. Rows past the
//                  trained length (condition "beyond") are answered by no one
//   floor          one distribution for all rows: the frequency of each letter in s_0 .. s_{n-1}; the loss is its entropy
//   oracle         knows s; 1
//   source         He et al. 2021, arXiv:2006.03654, section 3.2, on what relative positions lack; the collapse is a one-line proof: a weighted
//                  mean of equal vectors is that vector

#include "data/probes/probe.h"

namespace locus {
namespace {

using Ids = std::vector<std::int32_t>;

std::int32_t letter_at(const ProbeSettings& settings, std::int64_t row) {
    const std::int64_t period = integer_option(settings, "period");
    const std::int64_t place = period > 0 ? row % period : row;
    return first_symbol +
           static_cast<std::int32_t>(fixed_sequence(settings, place, integer_option(settings, "symbols")));
}

std::vector<std::string> symbols(const ProbeSettings& settings) { return letters(integer_option(settings, "symbols")); }

std::int64_t shortest(const ProbeSettings&) { return 1; }

void make(const ProbeSettings& settings, std::int64_t length, ProbeSplit, ProbeDraws&, ProbeExample& example) {
    for (std::int64_t row = 0; row < length; ++row) {
        const bool is_beyond = settings.train_length > 0 && row >= settings.train_length;
        ask(example, row, letter_at(settings, row), is_beyond ? 1 : 0);
    }
}

std::int32_t oracle(const ProbeSettings& settings, const Ids&, std::int32_t row) { return letter_at(settings, row); }

void floor(const ProbeSettings& settings, const Ids& ids, std::int32_t, std::vector<double>& weights) {
    for (std::size_t row = 0; row < ids.size(); ++row)
        weights[static_cast<std::size_t>(letter_at(settings, static_cast<std::int64_t>(row)))] += 1;
}

std::string condition(std::int32_t number) { return number == 0 ? "trained index" : "beyond"; }

bool is_constant(const ProbeSettings&) { return true; }

}  // namespace

const Probe absolute_index_probe{
    .name = "absolute_index",
    .summary = "all tokens are masked; each row names its letter of a fixed sequence",
    .options = {{"symbols", std::int64_t{8}, {}, 2, 26, "letters"},
                {"period", std::int64_t{0}, {}, 0, 1'048'576, "after which the sequence repeats; 0: never"}},
    .symbols = symbols,
    .shortest = shortest,
    .make = make,
    .oracle = oracle,
    .floor = floor,
    .condition = condition,
    .is_constant = is_constant};

}  // namespace locus
