#pragma once
// Text files as a stream of paragraphs. A blank line ends a document; in .jsonl each line is a document.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "data/progress.h"
#include "data/settings.h"

namespace locus {

/// Files and globs, expanded and sorted within each pattern. Throws DataError for a file that is missing, and for a glob that matches nothing.
std::vector<std::filesystem::path> expand_patterns(const std::vector<std::string>& patterns);

struct CorpusStatistics {
    std::int64_t bytes = 0, paragraphs = 0, documents = 0, duplicate_paragraphs = 0, skipped_lines = 0,
                 replaced_sequences = 0;
};

/// Receives a paragraph (valid UTF-8, no line end) and whether it is the first of its document.
using ParagraphVisitor = std::function<void(std::string_view text, bool begins_document)>;

/// Reads `files` in order, in bounded memory. CRLF and lone CR count as line ends, a byte-order mark is dropped.
/// Throws DataError for what cannot be text (a known binary or compressed format is named), for invalid UTF-8 unless the settings
/// say otherwise (file, line, byte), and for text that is empty altogether.
CorpusStatistics read_corpus(const std::vector<std::filesystem::path>& files, const DataSettings& settings,
                             const ParagraphVisitor& visit, const ProgressReport& progress = {});

/// A hash of the files' contents (and of the settings that decide how they are read): part of the key of the token shards.
std::uint64_t fingerprint_of_files(const std::vector<std::filesystem::path>& files, const DataSettings& settings);

}  // namespace locus
