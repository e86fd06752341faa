#include "train/head_explanation.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>

#include <fmt/format.h>

#include "kernels/memory.h"
#include "train/attention_on_host.h"
#include "train/error.h"

namespace locus {
namespace {

std::string name_of(const ScoreSummand& summand, const ComputedAttention& computed, const ModelSettings& settings) {
    const auto encoding = [&](const std::vector<std::size_t>& numbers) {
        return settings.position.at(numbers.at(summand.number)).encoding;
    };
    switch (summand.part) {
        case ScorePart::content: return "content";
        case ScorePart::content_bias: return "u";
        case ScorePart::content_to_position: return "c2p";
        case ScorePart::position_bias: return "v";
        case ScorePart::position_to_content: return "p2c";
        case ScorePart::channels: return encoding(computed.channel_encodings) + " channels";
        case ScorePart::bias: return encoding(computed.bias_encodings) + " bias";
    }
    throw std::logic_error("a term of the score without a name");
}

/// A head that the model does not have would otherwise look like a broken program.
void check_place(const char* option, std::int64_t number, std::int64_t count, const char* what) {
    if (number >= 0 && number < count) return;
    throw ConfigurationError(
        fmt::format("{} {}: the model has {} {}, 0 to {}", option, number, count, what, count - 1));
}

void check_finite(const HeadExplanation& explanation) {
    for (const QueryDecomposition& query : explanation.queries)
        if (!std::isfinite(query.log_sum_exp))
            throw NotFiniteError(fmt::format("the scores of layer {}, head {} are not finite; the weights are broken",
                                             explanation.layer, explanation.head));
}

/// A cell of a CSV file, quoted where it has to be.
std::string csv_cell(const std::string& text) {
    if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
    std::string quoted = "\"";
    for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
    return quoted + "\"";
}

}  // namespace

std::vector<std::string> summand_names(const std::vector<ScoreSummand>& summands, const ComputedAttention& computed,
                                       const ModelSettings& settings) {
    std::vector<std::string> names;
    std::map<std::string, int> seen;
    for (const ScoreSummand& summand : summands) {
        const std::string name = name_of(summand, computed, settings);
        const int count = ++seen[name];
        names.push_back(count == 1 ? name : fmt::format("{} {}", name, count));
    }
    return names;
}

std::string meaning_of(ScorePart part) {
    switch (part) {
        case ScorePart::content: return "scale q_i . k_j: what the query asks for and the key offers";
        case ScorePart::content_bias: return "scale u . k_j: a global vector asks on behalf of every query";
        case ScorePart::content_to_position: return "scale q_i . K[i-j]: the content asks for a distance";
        case ScorePart::position_bias: return "scale v . K[i-j]: a global vector asks for distances";
        case ScorePart::position_to_content: return "scale k_j . Q[i-j]: the content is asked for by a distance";
        case ScorePart::channels: return "scale a_i . b_j: channels beside the content's, made from positions";
        case ScorePart::bias: return "b[i-j]: a number by distance; not scaled";
    }
    throw std::logic_error("a term of the score without a meaning");
}

HeadExplanation explain_computed(const ComputedAttention& computed, std::int64_t head, const ModelSettings& settings) {
    const AttentionForward& forward = computed.forward;
    HeadExplanation explanation = {.layer = computed.layer,
                                   .head = head,
                                   .head_dim = forward.q.shape[2],
                                   .scale = forward.terms.scale,
                                   .positions = {},
                                   .window = forward.terms.window,
                                   .summands = {},
                                   .queries = {},
                                   .unrotated_content = {}};
    const auto* const positions = forward.k_rows.positions.as<std::int32_t>();
    explanation.positions.assign(positions, positions + forward.k.shape[0]);
    AttentionForward unrotated = forward;
    unrotated.q = computed.unrotated_q;
    unrotated.k = computed.unrotated_k;
    const bool is_rotated = unrotated.q.data != forward.q.data;
    for (std::int64_t row = 0; row < forward.q.shape[0]; ++row) {
        explanation.queries.push_back(decompose_score(forward, row, head));
        if (is_rotated)
            explanation.unrotated_content.push_back(decompose_score(unrotated, row, head).summands.front().values);
    }
    explanation.summands = summand_names(explanation.queries.at(0).summands, computed, settings);
    return explanation;
}

HeadExplanation explain_head(const MaskedLanguageModel& model, const ModelInput& input, std::int64_t layer,
                             std::int64_t head) {
    const ModelSettings& settings = model.settings();
    check_place("--layer", layer, settings.layers, "layers");
    check_place("--head", head, settings.heads, "heads");
    HeadExplanation explanation;
    ForwardVisitor visitor;
    const bool is_decoder = settings.has_enhanced_decoder() && layer == settings.layers - 1;
    visitor.attended = [&](const ComputedAttention& computed) {
        if (computed.layer != layer || (is_decoder && computed.pass != settings.decoder_passes - 1)) return;
        std::deque<HostCopy> copies;
        explanation = explain_computed(attention_on_host(computed, copies), head, settings);
        if (is_decoder) explanation.decoder_pass = computed.pass;
    };
    const RunMode mode = {.visitor = &visitor};
    Arena arena(model.device());
    Tape tape(arena);
    tape.set_recording(false);
    const Var encoded = model.encode(tape, input, mode);
    if (is_decoder) model.logits(tape, encoded, input, {}, mode);
    check_finite(explanation);
    return explanation;
}

std::string explanation_csv(const HeadExplanation& explanation, const std::vector<std::string>& tokens) {
    std::string csv = "layer,head,term,query,key,query_token,key_token,value\n";
    const auto add = [&](const std::string& term, std::size_t query, const std::vector<double>& values) {
        for (std::size_t key = 0; key < values.size(); ++key)
            csv += fmt::format("{},{},{},{},{},{},{},{:.9g}\n", explanation.layer, explanation.head, term, query, key,
                               csv_cell(tokens.at(query)), csv_cell(tokens.at(key)), values[key]);
    };
    for (std::size_t n = 0; n < explanation.summands.size(); ++n)
        for (std::size_t i = 0; i < explanation.queries.size(); ++i)
            add(explanation.summands[n], i, explanation.queries[i].summands[n].values);
    for (std::size_t i = 0; i < explanation.unrotated_content.size(); ++i)
        add("content_unrotated", i, explanation.unrotated_content[i]);
    const auto add_all = [&](const std::string& term, std::vector<double> QueryDecomposition::*values) {
        for (std::size_t i = 0; i < explanation.queries.size(); ++i) add(term, i, explanation.queries[i].*values);
    };
    add_all("sum", &QueryDecomposition::sum);
    add_all("score", &QueryDecomposition::score);
    add_all("weight", &QueryDecomposition::weights);
    add_all("added", &QueryDecomposition::added);
    return csv;
}

}  // namespace locus
