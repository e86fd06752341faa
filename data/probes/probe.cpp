#include "data/probes/probe.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "data/error.h"
#include "data/tokenizer_files.h"

namespace locus {
namespace {

const Probe& probe_of(const ProbeSettings& settings) {
    const Probe* probe = find_probe(settings.name);
    if (probe != nullptr) return *probe;
    std::string known;
    for (const Probe& candidate : probe_registry()) known += (known.empty() ? "" : ", ") + std::string(candidate.name);
    throw DataError(fmt::format("data.probe.name: no probe is called \"{}\"; known: {}", settings.name, known));
}

void check_number(const ProbeOption& option, std::int64_t value) {
    if (value >= option.low && value <= option.high) return;
    throw DataError(fmt::format("data.probe.{} must be at least {} and at most {}, not {}", option.name, option.low,
                                option.high, value));
}

void check_list(const ProbeOption& option, const std::vector<std::int64_t>& values) {
    if (values.empty()) throw DataError(fmt::format("data.probe.{} is an empty list", option.name));
    for (const std::int64_t value : values) {
        check_number(option, value);
        if (value == 0) throw DataError(fmt::format("data.probe.{}: 0 is the token itself", option.name));
        if (std::count(values.begin(), values.end(), value) > 1)
            throw DataError(fmt::format("data.probe.{} names {} twice", option.name, value));
    }
}

void check_option(const ProbeOption& option, const ProbeOptionValue& value) {
    if (const auto* number = std::get_if<std::int64_t>(&value)) return check_number(option, *number);
    if (const auto* list = std::get_if<std::vector<std::int64_t>>(&value)) return check_list(option, *list);
    const auto& text = std::get<std::string>(value);
    if (std::find(option.choices.begin(), option.choices.end(), text) != option.choices.end()) return;
    throw DataError(fmt::format("data.probe.{} does not know \"{}\"; known: {}", option.name, text,
                                fmt::join(option.choices, ", ")));
}

template <class T>
const T& option_of(const ProbeSettings& settings, std::string_view name) {
    return std::get<T>(settings.options.at(std::string(name)));
}

}  // namespace

const std::vector<Probe>& probe_registry() {
    static const std::vector<Probe> probes{
        shifted_lookup_probe, phrase_shift_probe,   distance_retrieval_probe, order_probe,
        agreement_probe,      absolute_index_probe, identical_contexts_probe};
    return probes;
}

const Probe* find_probe(std::string_view name) {
    for (const Probe& probe : probe_registry()) {
        if (probe.name == name) return &probe;
    }
    return nullptr;
}

ProbeSettings default_probe(std::string_view name) {
    ProbeSettings settings;
    settings.name = name;
    for (const ProbeOption& option : probe_of(settings).options)
        settings.options[std::string(option.name)] = option.initial;
    return settings;
}

void check_probe(const ProbeSettings& settings, std::int64_t length) {
    const Probe& probe = probe_of(settings);
    for (const ProbeOption& option : probe.options) check_option(option, settings.options.at(std::string(option.name)));
    const std::int64_t shortest = probe.shortest(settings);
    if (length >= shortest) return;
    throw DataError(
        fmt::format("data.sequence_length: {} tokens ([CLS] and [SEP] not counted) are too few for the "
                    "probe {}, which needs {} with these options",
                    length, probe.name, shortest));
}

void make_probe_example(const ProbeSettings& settings, std::int64_t length, ProbeSplit split, std::int64_t index,
                        ProbeExample& example) {
    example.ids.assign(static_cast<std::size_t>(length), mask_id);
    example.rows.clear();
    example.targets.clear();
    example.classes.clear();
    ProbeDraws draws(settings.seed, split, index);
    probe_of(settings).make(settings, length, split, draws, example);
}

std::vector<double> probe_floor(const ProbeSettings& settings, const std::vector<std::int32_t>& ids, std::int32_t row) {
    const Probe& probe = probe_of(settings);
    std::vector<double> weights(first_symbol + probe.symbols(settings).size());
    probe.floor(settings, ids, row, weights);
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (double& weight : weights) weight /= sum;
    return weights;
}

ProbeFloor floor_of(const std::vector<double>& distribution) {
    ProbeFloor floor;
    for (const double p : distribution) {
        floor.accuracy = std::max(floor.accuracy, p);
        if (p > 0) floor.loss -= p * std::log(p);
    }
    return floor;
}

ProbeFloor mean_probe_floor(const ProbeSettings& settings, std::int64_t length, ProbeSplit split,
                            std::int64_t examples) {
    ProbeFloor sum;
    double targets = 0;
    ProbeExample example;
    for (std::int64_t index = 0; index < examples; ++index) {
        make_probe_example(settings, length, split, index, example);
        for (const std::int32_t row : example.rows) {
            const ProbeFloor floor = floor_of(probe_floor(settings, example.ids, row));
            sum.accuracy += floor.accuracy;
            sum.loss += floor.loss;
            targets += 1;
        }
    }
    return {sum.accuracy / targets, sum.loss / targets};
}

std::int32_t probe_oracle(const ProbeSettings& settings, const std::vector<std::int32_t>& ids, std::int32_t row) {
    return probe_of(settings).oracle(settings, ids, row);
}

std::string probe_condition(const ProbeSettings& settings, std::int32_t number) {
    const Probe& probe = probe_of(settings);
    return probe.condition == nullptr ? "all" : probe.condition(number);
}

std::int64_t distinct_examples(const ProbeSettings& settings, std::int64_t asked) {
    const Probe& probe = probe_of(settings);
    return probe.is_constant != nullptr && probe.is_constant(settings) ? 1 : asked;
}

// Each symbol is a word of a WordPiece vocabulary. Chinese words stay whole.
std::unique_ptr<Tokenizer> probe_tokenizer(const ProbeSettings& settings) {
    TokenizerDescription description;
    description.tokens = special_token_names();
    for (std::string& symbol : probe_of(settings).symbols(settings)) description.tokens.push_back(std::move(symbol));
    description.rules.split_chinese = false;
    return make_tokenizer(std::move(description));
}

std::int64_t integer_option(const ProbeSettings& settings, std::string_view name) {
    return option_of<std::int64_t>(settings, name);
}

const std::string& text_option(const ProbeSettings& settings, std::string_view name) {
    return option_of<std::string>(settings, name);
}

const std::vector<std::int64_t>& list_option(const ProbeSettings& settings, std::string_view name) {
    return option_of<std::vector<std::int64_t>>(settings, name);
}

std::vector<std::string> letters(std::int64_t count) {
    std::vector<std::string> symbols;
    for (std::int64_t k = 0; k < count; ++k) symbols.emplace_back(1, static_cast<char>('a' + k));
    return symbols;
}

std::int64_t fixed_sequence(const ProbeSettings& settings, std::int64_t place, std::int64_t count) {
    return ProbeDraws(settings.seed, ProbeSplit::fixed, place).below(count);
}

void ask(ProbeExample& example, std::int64_t row, std::int64_t target, std::int64_t number) {
    example.rows.push_back(static_cast<std::int32_t>(row));
    example.targets.push_back(static_cast<std::int32_t>(target));
    example.classes.push_back(static_cast<std::int32_t>(number));
}

}  // namespace locus
