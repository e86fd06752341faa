#include "data/corpus_warnings.h"

#include <fmt/format.h>

#include <algorithm>

namespace locus {
namespace {

double percent(std::int64_t part, std::int64_t whole) {
    return 100.0 * static_cast<double>(part) / static_cast<double>(std::max<std::int64_t>(1, whole));
}

std::uint64_t median_document_length(const TokenShards& shards) {
    const auto starts = shards.document_starts();
    std::vector<std::uint64_t> lengths;
    for (std::size_t d = 0; d + 1 < starts.size(); ++d) lengths.push_back(starts[d + 1] - starts[d]);
    const auto middle = lengths.begin() + static_cast<std::ptrdiff_t>(lengths.size() / 2);
    std::nth_element(lengths.begin(), middle, lengths.end());
    return *middle;
}

void about_documents(const TokenShards& shards, std::vector<std::string>& warnings) {
    const CorpusStatistics& counts = shards.statistics();
    if (counts.paragraphs < 100) return;
    if (counts.documents == 1) {
        warnings.push_back(
            fmt::format("the text has no blank line: its {} paragraphs are one document of {} tokens; put a blank "
                        "line between documents",
                        counts.paragraphs, shards.tokens()));
    }
    if (counts.documents == counts.paragraphs) {
        warnings.push_back(
            fmt::format("every paragraph is a document of its own ({} documents, median length {} tokens); leave "
                        "blank lines only between documents",
                        counts.documents, median_document_length(shards)));
    }
}

/// Share of the first tokens that continue a word.
double continuing_share(const TokenShards& shards, const Tokenizer& tokenizer) {
    std::vector<std::int32_t> ids;
    shards.read(0, std::min<std::int64_t>(shards.tokens(), 100'000), ids);
    const auto continuing =
        std::count_if(ids.begin(), ids.end(), [&](std::int32_t id) { return tokenizer.continues_word(id); });
    return static_cast<double>(continuing) / static_cast<double>(ids.size());
}

}  // namespace

std::vector<std::string> corpus_warnings(const TokenShards& shards, const Tokenizer& tokenizer,
                                         const DataSettings& settings) {
    std::vector<std::string> warnings;
    const CorpusStatistics& counts = shards.statistics();
    about_documents(shards, warnings);
    if (counts.duplicate_paragraphs * 10 > counts.paragraphs) {
        warnings.push_back(
            fmt::format("{:.1f} % of the {} paragraphs occurred before; a model learns such text by heart",
                        percent(counts.duplicate_paragraphs, counts.paragraphs), counts.paragraphs));
    }
    if (counts.skipped_lines > 0) {
        warnings.push_back(fmt::format("{} lines were skipped, since they are not valid text", counts.skipped_lines));
    }
    if (counts.replaced_sequences > 0) {
        warnings.push_back(fmt::format("{} invalid byte sequences were replaced by U+FFFD", counts.replaced_sequences));
    }
    if (shards.unknown_tokens() * 1000 > shards.tokens()) {
        warnings.push_back(
            fmt::format("{:.2f} % of the tokens are [UNK]; train the tokenizer on this text, or raise "
                        "data.tokenizer.character_coverage",
                        percent(shards.unknown_tokens(), shards.tokens())));
    }
    if (settings.masking.unit == "whole_word" && continuing_share(shards, tokenizer) < 0.01) {
        warnings.push_back(
            "data.masking.unit: whole_word is the same as token here, since nearly every token of this text is a word "
            "of its own (as Chinese characters are); consider span");
    }
    return warnings;
}

}  // namespace locus
