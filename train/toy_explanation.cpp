#include "train/toy_explanation.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "train/configuration/nearest_name.h"
#include "train/error.h"
#include "train/text_table.h"
#include "train/toy_model.h"

namespace locus {
namespace {

constexpr const char* indent = "      ";

const EncodingEntry& entry_of(const std::string& name) {
    if (const EncodingEntry* const entry = find_encoding(name)) return *entry;
    std::vector<std::string> known;
    for (const EncodingEntry& entry : encoding_registry()) known.emplace_back(entry.name);
    const std::string nearest = nearest_name(name, known);
    throw ConfigurationError(fmt::format("--toy {}: there is no such encoding; {}", name,
                                         nearest.empty() ? fmt::format("there are: {}", fmt::join(known, ", "))
                                                         : fmt::format("did you mean {}?", nearest)));
}

// ---- matrices ----

std::string table_of(const Matrix& rows, const std::string& corner, const std::vector<std::string>& row_names,
                     const std::vector<std::string>& columns) {
    std::vector<std::vector<std::string>> cells = {{corner}};
    cells[0].insert(cells[0].end(), columns.begin(), columns.end());
    for (std::size_t i = 0; i < rows.size(); ++i) {
        cells.push_back({row_names[i]});
        for (const double value : rows[i]) cells.back().push_back(number_text(value));
    }
    return text_table(cells, 1, indent) + "\n";
}

std::string by_key(const Matrix& rows) { return table_of(rows, "query \\ key", toy_tokens(), toy_tokens()); }

std::vector<std::string> channel_names(const Matrix& rows) {
    std::vector<std::string> names;
    for (std::size_t c = 0; c < rows[0].size(); ++c) names.push_back(fmt::format("[{}]", c));
    return names;
}

std::string by_token(const Matrix& rows, const std::string& corner = "token") {
    return table_of(rows, corner, toy_tokens(), channel_names(rows));
}

/// A column for each distance, as tables are looked up.
std::string by_distance(const Matrix& vectors, const std::vector<std::int64_t>& distances) {
    std::vector<std::string> names, channels = channel_names(vectors);
    for (const std::int64_t r : distances) names.push_back(std::to_string(r));
    Matrix columns(vectors[0].size());
    for (const std::vector<double>& vector : vectors)
        for (std::size_t c = 0; c < vector.size(); ++c) columns[c].push_back(vector[c]);
    if (channels.size() == 1) channels = {"number"};
    return table_of(columns, "i - j", channels, names);
}

Matrix difference(const Matrix& a, const Matrix& b) {
    Matrix result = a;
    for (std::size_t i = 0; i < a.size(); ++i)
        for (std::size_t c = 0; c < a[i].size(); ++c) result[i][c] -= b[i][c];
    return result;
}

bool is_zero(const Matrix& rows) {
    return std::all_of(rows.begin(), rows.end(), [](const std::vector<double>& row) {
        return std::all_of(row.begin(), row.end(), [](double x) { return x == 0; });
    });
}

Matrix of_queries(const ToyResult& toy, std::vector<double> QueryDecomposition::*values) {
    Matrix rows;
    for (const QueryDecomposition& query : toy.head.queries) rows.push_back(query.*values);
    return rows;
}

// ---- steps ----

std::string describe_positions(const ToyResult& toy) {
    std::vector<std::vector<std::string>> cells = {{"i \\ j"}};
    cells[0].insert(cells[0].end(), toy_tokens().begin(), toy_tokens().end());
    for (std::size_t i = 0; i < toy_tokens().size(); ++i) {
        cells.push_back({toy_tokens()[i]});
        for (const std::int32_t position : toy.head.positions)
            cells.back().push_back(std::to_string(toy.head.positions[i] - position));
    }
    return fmt::format("1. Positions. The tokens {} stand at {}. The distances i - j, query minus key, are\n\n{}\n",
                       fmt::join(toy_tokens(), " "), fmt::join(toy.head.positions, " "), text_table(cells, 1, indent));
}

std::string describe_embeddings(const ToyResult& toy) {
    std::string text = "2. Embeddings. The words' vectors, rows of the embedding table:\n\n" + by_token(toy.words);
    const Matrix added = difference(toy.placed, toy.words);
    if (is_zero(added)) return text + "   Nothing is added to them.\n\n";
    text += "   Before any attention, the encoding adds to each token\n\n" + by_token(added);
    return text + "   From here on, word and place are one vector, x_i = layer_norm(word_i + added_i). The sum:\n\n" +
           by_token(toy.placed);
}

/// By how much each row was turned: the angle between its two channels before and after.
std::vector<std::string> angles_of(const Matrix& before, const Matrix& after) {
    std::vector<std::string> angles;
    for (std::size_t i = 0; i < before.size(); ++i) {
        const double cross = before[i][0] * after[i][1] - before[i][1] * after[i][0];
        const double along = before[i][0] * after[i][0] + before[i][1] * after[i][1];
        angles.push_back(number_text(std::atan2(cross, along)));
    }
    return angles;
}

std::string describe_projections(const ToyResult& toy) {
    std::string text =
        "3. Queries, keys, values. Head 0 has two of the eight channels. W_q, W_k and W_v are identity matrices here,\n"
        "   so q_i = k_i = v_i = the first two channels of x_i:\n\n" +
        by_token(toy.unrotated);
    if (toy.head.unrotated_content.empty()) return text + "   Nothing rotates them.\n\n";
    return text +
           fmt::format(
               "   The encoding turns the pair of channels of q_i and k_i by an angle that grows with the position, "
               "and\n"
               "   leaves v_i as it is. Angles, in radians: {}. After that q_i and k_i are\n\n",
               fmt::join(angles_of(toy.unrotated, toy.queries), ", ")) +
           by_token(toy.queries);
}

std::string describe_lookup(const ToyResult& toy, const ToyLookup& lookup) {
    if (!lookup.by_distance.empty())
        return "   looked up in this table:\n\n" + by_distance(lookup.by_distance, toy.distances);
    if (lookup.query_channels.empty()) return "\n";
    return "   with\n\n" + by_token(lookup.query_channels, "a of token") + by_token(lookup.key_channels, "b of token");
}

std::string describe_score(const ToyResult& toy, const ToyResult& before, const std::string& baseline) {
    const std::vector<ScoreSummand>& summands = toy.head.queries[0].summands;
    std::string text =
        fmt::format("4. Scores. {} they would be scale q_i . k_j, scale = {}:\n\n{}", baseline,
                    number_text(before.head.scale), by_key(of_queries(before, &QueryDecomposition::score)));
    text += fmt::format("   Now the encoding's, scale = {}, term by term.\n\n", number_text(toy.head.scale));
    for (std::size_t n = 0; n < summands.size(); ++n) {
        Matrix values;
        for (const QueryDecomposition& query : toy.head.queries) values.push_back(query.summands[n].values);
        text += fmt::format("   {}) {} = {}\n{}{}", n + 1, toy.head.summands[n], meaning_of(summands[n].part),
                            describe_lookup(toy, toy.lookups[n]), by_key(values));
    }
    if (summands.size() == 1) return text + "   It is the only term: this is the score.\n\n";
    return text + "   The score is their sum:\n\n" + by_key(of_queries(toy, &QueryDecomposition::score));
}

std::string describe_weights(const ToyResult& toy, const ToyResult& before, const std::string& baseline) {
    return fmt::format(
        "5. Weights: the softmax over each row, exp(score) divided by the row's sum. {}\n\n{}"
        "   and now\n\n{}",
        baseline, by_key(of_queries(before, &QueryDecomposition::weights)),
        by_key(of_queries(toy, &QueryDecomposition::weights)));
}

std::string describe_output(const ToyResult& toy, const ToyResult& before, const std::string& baseline) {
    std::string text = "6. Output of the head: out_i = sum_j weight(i,j) v_j";
    if (!toy.values_by_distance.empty())
        text += " + sum_j weight(i,j) V[i-j], with the vectors V by distance\n\n" +
                by_distance(toy.values_by_distance, toy.distances) + "   The second sum is\n\n" +
                by_token(of_queries(toy, &QueryDecomposition::from_table)) + "  ";
    else
        text += ".";
    return text +
           fmt::format(" {} the output is\n\n{}   and now\n\n{}", baseline, by_token(before.out), by_token(toy.out));
}

std::string describe_parameters(const ModelSettings& settings) {
    const std::vector<std::string> parameters = toy_position_parameters(settings);
    std::string text = "What is stored:";
    if (parameters.empty()) text += " nothing; the encoding is a formula without parameters.\n";
    for (const std::string& line : parameters) text += "\n" + std::string(indent) + line;
    if (!parameters.empty()) text += "\n";
    return text +
           "No weight belongs to a pair of tokens, and none is made for a text: every matrix above is computed from "
           "the\n"
           "parameters and the words, anew in each layer, head and text.\n";
}

}  // namespace

std::string explain_toy(const std::string& encoding) {
    const EncodingEntry& entry = entry_of(encoding.empty() ? "t5_bias" : encoding);
    const ModelSettings settings = toy_settings(std::string(entry.name));
    const bool is_wrapper = settings.position.size() > 1;
    const std::string other = is_wrapper ? settings.position[0].encoding : "none";
    const std::string baseline = is_wrapper ? fmt::format("With {} alone", other) : "Without the encoding";
    const ToyResult toy = compute_toy(settings, is_wrapper), before = compute_toy(toy_settings(other), false);
    std::string text = fmt::format("{}: {}\n\n", entry.name, entry.summary);
    if (is_wrapper)
        text += fmt::format("It only gives the tokens other positions, in training; so here it stands behind {}.\n\n",
                            other);
    return text + describe_positions(toy) + describe_embeddings(toy) + describe_projections(toy) +
           describe_score(toy, before, baseline) + describe_weights(toy, before, baseline) +
           describe_output(toy, before, baseline) + describe_parameters(settings);
}

}  // namespace locus
