// locus explain: what each term of the attention score adds, on one text; or with --toy on four tokens and weights that can be read.

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <string_view>

#include <fmt/core.h>
#include <fmt/format.h>

#include "data/utf8.h"
#include "model/position/position_encoding.h"
#include "train/atomic_file.h"
#include "train/batch_tensors.h"
#include "train/commands.h"
#include "train/device_name.h"
#include "train/encoded_text.h"
#include "train/error.h"
#include "train/head_explanation.h"
#include "train/run_settings.h"
#include "train/terminal.h"
#include "train/text_table.h"
#include "train/threads.h"
#include "train/too_long.h"
#include "train/toy_explanation.h"

namespace locus {

namespace {

bool is_set(const char* name) {
    const char* const value = std::getenv(name);
    return value != nullptr && *value != '\0';
}

HeatMapStyle style_of_output() {
    if (isatty(STDOUT_FILENO) != 1) return {};
    const char* const kind = std::getenv("TERM");
    const bool understands_codes = kind != nullptr && std::string_view(kind) != "dumb";
    return {.colour = understands_codes && !is_set("NO_COLOR"),
            .columns = Terminal(STDOUT_FILENO, true, false).columns()};
}

/// The row that --query means: a number, or the first token of that name; by default the first [MASK], else the middle one.
std::size_t query_row(const std::string& wanted, const TokenBatch& batch, const std::vector<std::string>& tokens) {
    if (wanted.empty())
        return batch.masked_rows.empty() ? tokens.size() / 2 : static_cast<std::size_t>(batch.masked_rows[0]);
    std::size_t row = 0;
    const char* const end = wanted.data() + wanted.size();
    const auto read = std::from_chars(wanted.data(), end, row);
    if (read.ec == std::errc() && read.ptr == end && row < tokens.size()) return row;
    const auto found = std::find(tokens.begin(), tokens.end(), wanted);
    if (found != tokens.end()) return static_cast<std::size_t>(found - tokens.begin());
    std::vector<std::string> numbered;
    for (std::size_t n = 0; n < tokens.size(); ++n) numbered.push_back(fmt::format("{} {}", n, tokens[n]));
    throw ConfigurationError(
        fmt::format("--query {}: the text has no such token; it has: {}", wanted, fmt::join(numbered, ", ")));
}

void print_head(const HeadExplanation& explanation, const ModelSettings& settings, std::size_t tokens) {
    fmt::print("position: {}; layer {} (of 0 to {}), head {} (of 0 to {}); {} tokens\n", encoding_names(settings),
               explanation.layer, settings.layers - 1, explanation.head, settings.heads - 1, tokens);
    if (explanation.decoder_pass >= 0)
        fmt::print("This layer is the enhanced mask decoder; shown is its last pass, {} of {}, for every token.\n",
                   explanation.decoder_pass + 1, settings.decoder_passes);
    fmt::print("scale: {:.6g} (head_dim {}: 1 / sqrt({:.6g}))\n", explanation.scale, explanation.head_dim,
               1 / (explanation.scale * explanation.scale));
    fmt::print("log n factor: {}\n", settings.attention.logn
                                         ? fmt::format("{:.6g}", explanation.queries[0].sequence_scale)
                                         : "1 (model.attention.logn is off)");
    fmt::print("window: {}\n", explanation.window > 0 ? fmt::format("keys up to {} away", explanation.window)
                                                      : "every key of the text");
}

/// A row per key: the terms, their sum, and what the softmax makes of it.
std::string key_table(const HeadExplanation& explanation, std::size_t query, const std::vector<std::string>& tokens) {
    const QueryDecomposition& parts = explanation.queries[query];
    const bool is_rotated = !explanation.unrotated_content.empty(), has_factor = parts.sequence_scale != 1;
    std::vector<std::string> head = {"key", "token", "i-j"};
    if (is_rotated) head.emplace_back("unrotated");
    head.insert(head.end(), explanation.summands.begin(), explanation.summands.end());
    for (const char* name : {"sum", "score", "weight", "added"}) head.emplace_back(name);
    std::vector<std::vector<std::string>> rows = {head};
    for (std::size_t key = 0; key < tokens.size(); ++key) {
        const std::int64_t distance = explanation.positions[query] - explanation.positions[key];
        std::vector<std::string> row = {std::to_string(key), fit(tokens[key], 20), std::to_string(distance)};
        if (is_rotated) row.push_back(number_text(explanation.unrotated_content[query][key]));
        for (const ScoreSummand& summand : parts.summands) row.push_back(number_text(summand.values[key]));
        for (const double value : {parts.sum[key], parts.score[key], parts.weights[key], parts.added[key]})
            row.push_back(number_text(value));
        rows.push_back(row);
    }
    if (!has_factor && explanation.window == 0)  // the score is the sum
        for (std::vector<std::string>& row : rows) row.erase(row.end() - 3);
    return text_table(rows, 2, "  ");
}

void print_legend(const HeadExplanation& explanation) {
    const std::vector<ScoreSummand>& summands = explanation.queries[0].summands;
    std::vector<std::vector<std::string>> lines;
    if (!explanation.unrotated_content.empty())
        lines.push_back({"unrotated", "the content term without the encoding's rotation; not part of the sum"});
    for (std::size_t n = 0; n < summands.size(); ++n)
        lines.push_back({explanation.summands[n], meaning_of(summands[n].part)});
    if (explanation.window > 0 || explanation.queries[0].sequence_scale != 1)
        lines.push_back({"score", "the sum times the log n factor; -inf outside the window"});
    lines.push_back({"weight", "softmax over the keys"});
    lines.push_back({"added", "length of weight times value: what the key adds to the query's output"});
    fmt::print("{}", text_table(lines, 2, "  "));
}

double length_of(const std::vector<double>& vector) {
    return std::sqrt(std::inner_product(vector.begin(), vector.end(), vector.begin(), 0.0));
}

void print_output(const QueryDecomposition& parts) {
    std::vector<double> output = parts.from_values;
    for (std::size_t c = 0; c < parts.from_table.size(); ++c) output[c] += parts.from_table[c];
    fmt::print("\nIts output, the sum over the keys of weight times value, has length {}",
               number_text(length_of(output)));
    if (!parts.from_table.empty())
        fmt::print("; the values' part has {}, that of the vectors by distance (V[i-j]) {}",
                   number_text(length_of(parts.from_values)), number_text(length_of(parts.from_table)));
    fmt::print(".\n");
}

int run_toy(const ExplainCommand& command) {
    if (!command.model.empty() || command.layer || command.head != 0 || !command.query.empty() ||
        !command.csv.empty() || command.device != "auto")
        throw ConfigurationError("--toy brings its own model and text: locus explain --toy [ENCODING]");
    fmt::print("{}", explain_toy(command.encoding));
    return exit_done;
}

}  // namespace

int run_explain(const ExplainCommand& command) {
    if (command.toy) return run_toy(command);
    if (command.model.empty() || command.text.empty())
        throw ConfigurationError("usage: locus explain MODEL TEXT, or locus explain --toy [ENCODING]");
    if (first_invalid_utf8(command.text) != command.text.size())
        throw ConfigurationError("the text is not valid UTF-8");
    use_threads(command.threads);
    const LoadedModel loaded = load_model(command.model);
    loaded.model->move_to(device_named(command.device, DType::float32));
    const ModelSettings& settings = loaded.model->settings();
    const Tokenizer& tokenizer = tokenizer_of(loaded);
    const TokenBatch batch = encode_text(command.text, tokenizer, uses_cls_sep(loaded));
    if (batch.rows() == 0) throw ConfigurationError("the text has no tokens");
    if (is_too_long(*loaded.model, batch.rows()))
        throw ConfigurationError(explain_too_long(*loaded.model, fmt::format("the text has {} tokens", batch.rows())));
    std::vector<std::string> tokens;
    for (const std::int32_t id : batch.ids) tokens.push_back(tokenizer.token(id));
    const std::size_t query = query_row(command.query, batch, tokens);
    BatchTensors tensors;
    tensors.fill(batch, 0);
    const HeadExplanation explanation =
        explain_head(*loaded.model, tensors.input(), command.layer.value_or(settings.layers - 1), command.head);
    if (!command.csv.empty()) write_file_atomically(command.csv, explanation_csv(explanation, tokens));

    print_head(explanation, settings, tokens.size());
    std::vector<std::vector<double>> weights;
    for (const QueryDecomposition& one : explanation.queries) weights.push_back(one.weights);
    fmt::print("\nWeights in percent: a row per query, a column per key; the darker, the nearer to the largest\n\n{}",
               heat_map(weights, tokens, style_of_output()));
    fmt::print("\nQuery {} {}: the score of each key, term by term\n\n{}\n", query, tokens[query],
               key_table(explanation, query, tokens));
    print_legend(explanation);
    print_output(explanation.queries[query]);
    return exit_done;
}

}  // namespace locus
