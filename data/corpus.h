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
    std::int64_t bytes = 0;  // of the paragraphs, as UTF-8
    std::int64_t paragraphs = 0, documents = 0;
    std::int64_t duplicate_paragraphs =
        0;  // those that occurred before; an estimate above a million distinct ones (duplicates.h)
    std::int64_t skipped_lines = 0, replaced_sequences = 0;  // invalid_utf8: skip_line, replace
};

/// Receives a paragraph (valid UTF-8, no line end) and whether it is the first of its document.
using ParagraphVisitor = std::function<void(std::string_view text, bool begins_document)>;

/// Reads `files` in order, in bounded memory. CRLF and lone CR count as line ends, a byte-order mark is dropped; a line of white space alone is
/// blank. Each file, and each row of .jsonl, begins a document; line ends within a row's text separate its paragraphs, its blank lines
/// no documents. A paragraph above 1 MiB comes in pieces of at most that, cut at white space where there is some and never within a character
/// (with invalid_utf8: skip_line a piece is then skipped, not the line); only rows of .jsonl are held in memory whole.
/// Throws DataError for what cannot be text (a known binary or compressed format is named), for invalid UTF-8 (zero bytes count as such)
/// unless the settings say otherwise (file, line, byte), for a row without the field, and for text that is empty altogether.
CorpusStatistics read_corpus(const std::vector<std::filesystem::path>& files, const DataSettings& settings,
                             const ParagraphVisitor& visit, const ProgressReport& progress = {});

/// A hash of the files' contents (and of the settings that decide how they are read): part of the key of the token shards. The
/// hashes of unchanged files are remembered under `cache` (fingerprint.h), by default cache_folder().
std::uint64_t fingerprint_of_files(const std::vector<std::filesystem::path>& files, const DataSettings& settings,
                                   const std::filesystem::path& cache = {});

}  // namespace locus
