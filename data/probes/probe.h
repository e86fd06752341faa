#pragma once
// Synthetic probes: small tasks in which the position of a token, and nothing else, decides the answer. Each is trained like a masked-LM
// text, so a position encoding is tried by changing one line of a configuration. One file per probe; each begins with its construction,
// a worked line, and what it tells about an encoding.
//
//   example   a pure function of (settings, length, split, index): the visible ids, the rows to predict, and what belongs there
//   floor     p(target | the bag of visible tokens, the token in the row): the best that a model without positions can predict. Its largest
//             entry is such a model's accuracy, its entropy the loss
//   oracle    solves a row from the visible tokens; its accuracy is the ceiling, 1 for every probe here
//
// Splits draw from streams of their own: the same settings give the same validation examples for ever, whatever run.seed is. (Two splits of a very
// short probe can still hold equal sequences by chance.) train and validation have one distribution; test asks at every position, which
// for two probes is more than training showed.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/probes/draws.h"
#include "data/settings.h"
#include "data/tokenizer.h"

namespace locus {

/// One sequence. Reused memory.
struct ProbeExample {
    std::vector<std::int32_t> ids;      // [length, or fewer], as the model sees them
    std::vector<std::int32_t> rows;     // [targets], to predict, strictly increasing
    std::vector<std::int32_t> targets;  // [targets], ids
    std::vector<std::int32_t>
        classes;  // [targets], what condition() names: the shift, the distance, whether training asked there
};

/// An option of a probe, as its file declares it.
struct ProbeOption {
    std::string_view name;
    ProbeOptionValue initial;               // its type is the option's type
    std::vector<std::string_view> choices;  // of a text
    std::int64_t low = 0, high = 0;         // of a number, and of each number of a list
    std::string_view help;
};

struct Probe {
    std::string_view name, summary;
    std::vector<ProbeOption> options;
    /// The vocabulary after the five special tokens: symbol k has id first_symbol + k. Whole words, in lower case.
    std::vector<std::string> (*symbols)(const ProbeSettings& settings);
    /// The shortest sequence that the construction fits into.
    std::int64_t (*shortest)(const ProbeSettings& settings);
    void (*make)(const ProbeSettings& settings, std::int64_t length, ProbeSplit split, ProbeDraws& draws,
                 ProbeExample& example);
    std::int32_t (*oracle)(const ProbeSettings& settings, const std::vector<std::int32_t>& ids, std::int32_t row);
    /// Adds the weight of each possible target to `weights` [vocabulary], which begins as zeros.
    void (*floor)(const ProbeSettings& settings, const std::vector<std::int32_t>& ids, std::int32_t row,
                  std::vector<double>& weights);
    std::string (*condition)(std::int32_t number);  // nullptr: one condition only
    /// True when all examples of a length are one and the same; nullptr: they are not.
    bool (*is_constant)(const ProbeSettings& settings) = nullptr;
};

constexpr std::int32_t mask_id = 4, first_symbol = 5;

/// All probes, in the order of the documentation.
const std::vector<Probe>& probe_registry();
/// nullptr when there is none of that name.
const Probe* find_probe(std::string_view name);
/// The probe with all its options at their initial values. Throws DataError naming the known probes.
ProbeSettings default_probe(std::string_view name);

/// Throws DataError, naming data.probe.OPTION, for an unknown probe, an option out of range, and a sequence too short for the construction.
void check_probe(const ProbeSettings& settings, std::int64_t length);

/// Example `index` of a split, with `length` tokens; checked settings only.
void make_probe_example(const ProbeSettings& settings, std::int64_t length, ProbeSplit split, std::int64_t index,
                        ProbeExample& example);
/// p(target | bag) for one row, [vocabulary].
std::vector<double> probe_floor(const ProbeSettings& settings, const std::vector<std::int32_t>& ids, std::int32_t row);

/// What a model without positions reaches.
struct ProbeFloor {
    double accuracy = 0;
    double loss = 0;  // nats
};
/// The largest entry and the entropy of p(target | bag).
ProbeFloor floor_of(const std::vector<double>& distribution);
/// The mean over the targets of the first examples of a split.
ProbeFloor mean_probe_floor(const ProbeSettings& settings, std::int64_t length, ProbeSplit split,
                            std::int64_t examples);

std::int32_t probe_oracle(const ProbeSettings& settings, const std::vector<std::int32_t>& ids, std::int32_t row);
/// "shift=-3", "unseen offset"; "all" for a probe with one condition.
std::string probe_condition(const ProbeSettings& settings, std::int32_t number);
/// How many different examples of a length there are: 1, or `asked`.
std::int64_t distinct_examples(const ProbeSettings& settings, std::int64_t asked);

/// [PAD] [UNK] [CLS] [SEP] [MASK] and the probe's symbols, as a tokenizer that is saved and loaded like any other.
std::unique_ptr<Tokenizer> probe_tokenizer(const ProbeSettings& settings);

// ---- for the probes' own files ----------------------------------------------------------------------------------------------------------

/// The value of an option.
std::int64_t integer_option(const ProbeSettings& settings, std::string_view name);
const std::string& text_option(const ProbeSettings& settings, std::string_view name);
const std::vector<std::int64_t>& list_option(const ProbeSettings& settings, std::string_view name);

/// "a", "b", ...: 26 at most.
std::vector<std::string> letters(std::int64_t count);
/// Entry `place` of the endless fixed random sequence of a probe's seed, in 0 .. count - 1.
std::int64_t fixed_sequence(const ProbeSettings& settings, std::int64_t place, std::int64_t count);
/// Makes `row` a target.
void ask(ProbeExample& example, std::int64_t row, std::int64_t target, std::int64_t number);

extern const Probe shifted_lookup_probe, phrase_shift_probe, distance_retrieval_probe, order_probe, agreement_probe,
    absolute_index_probe, identical_contexts_probe;

}  // namespace locus
