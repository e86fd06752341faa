#include "data/corpus.h"

#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "data/duplicates.h"
#include "data/error.h"
#include "data/fingerprint.h"
#include "data/gb18030.h"
#include "data/line_reader.h"
#include "data/throttled_progress.h"
#include "data/token_shards.h"
#include "data/utf8.h"

namespace locus {
namespace {

constexpr std::size_t longest_paragraph = std::size_t{1} << 20U;
constexpr std::uint64_t reading_version = 1;  // raise it when the same files give other paragraphs

bool ends_with(const std::string& name, std::string_view suffix) {
    return name.size() >= suffix.size() && std::string_view(name).substr(name.size() - suffix.size()) == suffix;
}

bool is_json_lines(const std::filesystem::path& file) {
    return ends_with(file.native(), ".jsonl") || ends_with(file.native(), ".jsonl.zst");
}

TextEncoding encoding_of(const DataSettings& settings) {
    if (settings.encoding == "utf8") return TextEncoding::utf8;
    if (settings.encoding == "gb18030") return TextEncoding::gb18030;
    throw DataError(fmt::format("data.encoding: {} is not known; choose utf8 or gb18030", settings.encoding));
}

enum class Invalid { error, replace, skip_line };

Invalid policy_of(const DataSettings& settings) {
    if (settings.invalid_utf8 == "error") return Invalid::error;
    if (settings.invalid_utf8 == "replace") return Invalid::replace;
    if (settings.invalid_utf8 == "skip_line") return Invalid::skip_line;
    throw DataError(
        fmt::format("data.invalid_utf8: {} is not known; choose error, replace or skip_line", settings.invalid_utf8));
}

/// What the bytes around an invalid one look like, and what to do.
std::string diagnosis(std::string_view text, std::size_t at, TextEncoding encoding) {
    const std::string policies = "set data.invalid_utf8 to replace or skip_line";
    if (text[at] == 0) return "a zero byte: the file is binary or damaged; repair it, or " + policies;
    if (encoding == TextEncoding::gb18030) return "not valid GB18030; repair the file, or " + policies;
    const std::string_view sample = text.substr(at < 4096 ? 0 : at - 4096, 65536);
    if (looks_like_gb18030(text.substr(0, 65536)) || looks_like_gb18030(text.substr(at, 65536))) {
        return "not valid UTF-8; the text looks like GB18030 (GBK): set data.encoding: gb18030";
    }
    if (looks_like_windows1252(sample)) {
        return "not valid UTF-8; the text looks like Windows-1252 or Latin-1: convert it with iconv -f WINDOWS-1252 -t "
               "UTF-8, or " +
               policies;
    }
    return "not valid UTF-8; convert the file to UTF-8, or " + policies;
}

/// One file after the other, line by line, into paragraphs.
class CorpusReader {
public:
    CorpusReader(const DataSettings& settings, const ParagraphVisitor& visit)
        : settings_(settings), visit_(visit), encoding_(encoding_of(settings)), policy_(policy_of(settings)) {
        if (encoding_ == TextEncoding::gb18030) decoder_.emplace();
    }

    template <typename OnPosition>
    void read(const std::filesystem::path& path, const OnPosition& on_position) {
        const bool rows = is_json_lines(path);
        LineReader lines(path, rows ? 0 : longest_paragraph, encoding_);
        path_ = &path;
        check_head(lines);
        begins_document_ = true;
        for (Line line; lines.next(line);) {
            if (rows) {
                row(line);
            } else {
                text_line(line);
            }
            on_position(lines.file().position());
        }
    }

    CorpusStatistics finish() {
        statistics_.duplicate_paragraphs = duplicates_.count();
        return statistics_;
    }

private:
    void check_head(LineReader& lines) const {
        const std::string_view head = lines.head();
        const std::string name = path_->string();
        if (const std::string_view format = name_of_binary_format(head); !format.empty()) {
            throw DataError(fmt::format("{}: is {}, not text; {}", name, format, remedy_for(format)));
        }
        if (ends_with(path_->native(), ".json") || ends_with(path_->native(), ".json.zst")) {
            throw DataError(
                fmt::format("{}: JSON is read as rows, one object per line; name such a file .jsonl", name));
        }
        const bool marked = head.substr(0, 3) == "\xEF\xBB\xBF";
        if (encoding_ == TextEncoding::gb18030) {
            const std::size_t whole =
                head.size() - std::min<std::size_t>(head.size(), 3);  // may end within a character
            const std::size_t wide =
                static_cast<std::size_t>(std::count_if(head.begin(), head.end(), [](char c) { return c < 0; }));
            if (marked || (wide >= 12 && first_invalid_utf8(head) >= whole)) {
                throw DataError(
                    fmt::format("{}: is UTF-8, but data.encoding is gb18030; set data.encoding: utf8", name));
            }
        }
        if (marked) lines.skip(3);
        if (head.substr(0, 4) == "\x84\x31\x95\x33" && encoding_ == TextEncoding::gb18030) lines.skip(4);
    }

    /// Where the first byte stands that cannot be; the bytes before it are appended to decoded_ when they are in another encoding.
    std::size_t valid_prefix(std::string_view bytes) {
        const std::size_t zero = std::min(bytes.find('\0'), bytes.size());
        bytes = bytes.substr(0, zero);
        return decoder_ ? decoder_->append(bytes, decoded_) : first_invalid_utf8(bytes);
    }

    /// The line as UTF-8, valid until the next call; nothing when the settings say that it is to be skipped.
    std::optional<std::string_view> decode(const Line& line) {
        decoded_.clear();
        const std::size_t valid = valid_prefix(line.bytes);
        if (valid == line.bytes.size()) return decoder_ ? std::string_view(decoded_) : line.bytes;
        if (policy_ == Invalid::error) {
            const auto at = static_cast<std::int64_t>(valid);
            throw DataError(fmt::format("{}:{}: byte {} of the line (byte {} of the {}), 0x{:02X}, is {}",
                                        path_->string(), line.number, line.column + at + 1, line.offset + at + 1,
                                        ends_with(path_->native(), ".zst") ? "unpacked text" : "file",
                                        static_cast<unsigned char>(line.bytes[valid]),
                                        diagnosis(line.bytes, valid, encoding_)));
        }
        if (policy_ == Invalid::skip_line) {
            ++statistics_.skipped_lines;
            return std::nullopt;
        }
        replace(line.bytes);
        return decoded_;
    }

    void replace(std::string_view bytes) {
        decoded_.clear();
        while (!bytes.empty()) {
            const std::size_t zero = std::min(bytes.find('\0'), bytes.size());
            const std::string_view part = bytes.substr(0, zero);
            std::size_t done = zero;
            if (decoder_) {
                done = decoder_->append(part, decoded_);
            } else {
                statistics_.replaced_sequences += append_replacing_invalid_utf8(part, decoded_);
            }
            bytes.remove_prefix(done);
            if (bytes.empty()) break;
            decoded_ += "\xEF\xBF\xBD";
            ++statistics_.replaced_sequences;
            bytes.remove_prefix(1);
        }
    }

    void text_line(const Line& line) {
        const std::optional<std::string_view> text = decode(line);
        if (!text) return;
        if (is_blank(*text)) {
            if (line.complete && line.column == 0) begins_document_ = true;
        } else {
            paragraph(*text);
        }
    }

    void row(const Line& line) {
        const std::optional<std::string_view> text = decode(line);
        if (!text || is_blank(*text)) return;
        const nlohmann::json value = parse(*text, line.number);
        begins_document_ = true;
        paragraphs(field_of(value, line.number));
    }

    nlohmann::json parse(std::string_view text, std::int64_t number) const {
        try {
            return nlohmann::json::parse(text);
        } catch (const nlohmann::json::parse_error& error) {
            throw DataError(
                fmt::format("{}:{}: byte {} of the row is not valid JSON; a row must be an object such as "
                            "{{\"{}\": \"...\"}} on one line",
                            path_->string(), number, error.byte, settings_.field));
        }
    }

    std::string_view field_of(const nlohmann::json& row, std::int64_t number) const {
        const std::string where = fmt::format("{}:{}", path_->string(), number);
        if (!row.is_object()) {
            throw DataError(fmt::format("{}: the row is {}, and must be an object such as {{\"{}\": \"...\"}}", where,
                                        row.type_name(), settings_.field));
        }
        const auto found = row.find(settings_.field);
        if (found == row.end()) {
            std::string names;
            for (const auto& [name, value] : row.items()) names += (names.empty() ? "" : ", ") + name;
            throw DataError(
                fmt::format("{}: the row has no field \"{}\"; it has: {}. Set data.field to the one with the text",
                            where, settings_.field, names.empty() ? "none" : names));
        }
        if (!found->is_string()) {
            throw DataError(fmt::format("{}: the field \"{}\" is {}, and must be a string", where, settings_.field,
                                        found->type_name()));
        }
        return found->get_ref<const std::string&>();
    }

    /// The lines of a row's text.
    void paragraphs(std::string_view text) {
        while (!text.empty()) {
            const std::size_t end = std::min(text.find_first_of("\r\n"), text.size());
            std::string_view line = text.substr(0, end);
            text.remove_prefix(std::min(end + 1, text.size()));
            while (!line.empty()) {
                const std::string_view piece =
                    line.substr(0, place_to_cut(line, longest_paragraph, TextEncoding::utf8));
                line.remove_prefix(piece.size());
                if (!is_blank(piece)) paragraph(piece);
            }
        }
    }

    void paragraph(std::string_view text) {
        ++statistics_.paragraphs;
        statistics_.bytes += static_cast<std::int64_t>(text.size());
        statistics_.documents += begins_document_ ? 1 : 0;
        duplicates_.add(text);
        visit_(text, begins_document_);
        begins_document_ = false;
    }

    const DataSettings& settings_;
    const ParagraphVisitor& visit_;
    TextEncoding encoding_;
    Invalid policy_;
    std::optional<Gb18030Decoder> decoder_;
    const std::filesystem::path* path_ = nullptr;
    bool begins_document_ = true;
    std::string decoded_;
    Duplicates duplicates_;
    CorpusStatistics statistics_;
};

std::vector<std::filesystem::path> expand_pattern(const std::string& pattern) {
    if (pattern.empty()) throw DataError("an empty file name was given for the data");
    std::error_code unreachable;
    if (std::filesystem::exists(pattern, unreachable)) return {pattern};  // also a file that is called "[1].txt"
    glob_t matches{};
    const int result = glob(pattern.c_str(), GLOB_TILDE | GLOB_NOSORT, nullptr, &matches);
    std::vector<std::filesystem::path> files;
    for (std::size_t match = 0; result == 0 && match < matches.gl_pathc; ++match) {
        if (!std::filesystem::is_directory(matches.gl_pathv[match])) files.emplace_back(matches.gl_pathv[match]);
    }
    globfree(&matches);
    if (result == GLOB_NOSPACE) throw std::bad_alloc();
    if (files.empty()) {
        const bool is_glob = pattern.find_first_of("*?[") != std::string::npos;
        throw DataError(fmt::format("{}: {} (looked in {})", pattern,
                                    is_glob ? "no file matches" : "there is no such file",
                                    std::filesystem::current_path().string()));
    }
    std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.native() < b.native(); });
    return files;
}

}  // namespace

std::vector<std::filesystem::path> expand_patterns(const std::vector<std::string>& patterns) {
    std::vector<std::filesystem::path> files;
    for (const std::string& pattern : patterns) {
        const std::vector<std::filesystem::path> matches = expand_pattern(pattern);
        files.insert(files.end(), matches.begin(), matches.end());
    }
    return files;
}

CorpusStatistics read_corpus(const std::vector<std::filesystem::path>& files, const DataSettings& settings,
                             const ParagraphVisitor& visit, const ProgressReport& progress) {
    std::int64_t total = 0, before = 0;
    for (const auto& file : files) total += TextFile(file).size();  // all are there before hours go into the first
    ThrottledProgress report(progress);
    CorpusReader reader(settings, visit);
    for (const auto& file : files) {
        std::int64_t position = 0;
        reader.read(file, [&](std::int64_t now) {
            if (now == position) return;
            position = now;
            report("reading text", before + now, total);
        });
        before += position;
    }
    const CorpusStatistics statistics = reader.finish();
    if (statistics.paragraphs == 0) {
        throw DataError(fmt::format(
            "there is no text in {} file{} of {} bytes{}: all lines are blank{}", files.size(),
            files.size() == 1 ? "" : "s", total,
            files.empty() ? "" : fmt::format(" ({}{})", files.front().string(), files.size() > 1 ? ", ..." : ""),
            statistics.skipped_lines > 0 ? fmt::format(" or were skipped ({}, invalid UTF-8)", statistics.skipped_lines)
                                         : std::string()));
    }
    return statistics;
}

std::uint64_t fingerprint_of_files(const std::vector<std::filesystem::path>& files, const DataSettings& settings,
                                   const std::filesystem::path& cache) {
    const std::filesystem::path remembered = cache.empty() ? cache_folder() : cache;
    Fingerprint hash;
    hash.add_number(reading_version);
    hash.add_text(settings.field);
    hash.add_text(settings.invalid_utf8);
    hash.add_text(settings.encoding);
    for (const auto& file : files) {
        hash.add_number(static_cast<std::uint64_t>(is_json_lines(file)) * 2 + (file.extension() == ".zst" ? 1 : 0));
        hash.add_number(fingerprint_of_file(file, remembered));
    }
    return hash.value();
}

}  // namespace locus
