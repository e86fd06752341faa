#include "data/text_format.h"

#include <algorithm>
#include <array>

namespace locus {
namespace {

using namespace std::string_view_literals;

struct Format {
    std::string_view first_bytes, name, remedy;
};

// The longer of two that begin alike comes first (UTF-32 before UTF-16).
constexpr std::array<Format, 24> formats = {{
    {"\x1F\x8B"sv, "a gzip archive", "unpack it with gunzip"},
    {"PK\x03\x04"sv, "a zip archive (or a .docx, .xlsx or .epub file)", "unpack it, and save its text as UTF-8"},
    {"\x28\xB5\x2F\xFD"sv, "a zstd archive", "give it a name that ends in .txt.zst or .jsonl.zst"},
    {"\xFD\x37zXZ\x00"sv, "an xz archive", "unpack it with unxz"},
    {"BZh"sv, "a bzip2 archive", "unpack it with bunzip2"},
    {"7z\xBC\xAF\x27\x1C"sv, "a 7z archive", "unpack it"},
    {"Rar!\x1A\x07"sv, "a rar archive", "unpack it"},
    {"\x04\x22\x4D\x18"sv, "an lz4 archive", "unpack it with unlz4"},
    {"%PDF-"sv, "a PDF document", "extract its text with pdftotext"},
    {"\xD0\xCF\x11\xE0"sv, "an old Microsoft Office document", "save it as plain text"},
    {"{\\rtf"sv, "an RTF document", "save it as plain text"},
    {"\x7F\x45LF"sv, "an ELF program", "name a text file"},
    {"MZ\x90"sv, "a Windows program", "name a text file"},
    {"\x89PNG"sv, "a PNG picture", "name a text file"},
    {"\xFF\xD8\xFF"sv, "a JPEG picture", "name a text file"},
    {"GIF8"sv, "a GIF picture", "name a text file"},
    {"PAR1\x15"sv, "a Parquet table", "export its text column as .jsonl"},
    {"ARROW1"sv, "an Arrow table", "export its text column as .jsonl"},
    {"SQLite format 3"sv, "an SQLite database", "export its text as .jsonl"},
    {"\x93NUMPY"sv, "a NumPy array", "name a text file"},
    {"\xFF\xFE\x00\x00"sv, "UTF-32 text", "convert it: iconv -f UTF-32 -t UTF-8"},
    {"\x00\x00\xFE\xFF"sv, "UTF-32 text", "convert it: iconv -f UTF-32 -t UTF-8"},
    {"\xFF\xFE"sv, "UTF-16 text (little-endian)", "convert it: iconv -f UTF-16 -t UTF-8"},
    {"\xFE\xFF"sv, "UTF-16 text (big-endian)", "convert it: iconv -f UTF-16 -t UTF-8"},
}};
constexpr Format utf16_little_unmarked = {"", "UTF-16 text (little-endian, without a mark)",
                                          "convert it: iconv -f UTF-16LE -t UTF-8"};
constexpr Format utf16_big_unmarked = {"", "UTF-16 text (big-endian, without a mark)",
                                       "convert it: iconv -f UTF-16BE -t UTF-8"};
constexpr Format binary = {"", "binary data (it has zero bytes)", "name a text file"};

/// UTF-16 of a Western language has a zero in every second byte.
const Format* format_by_zeros(std::string_view head) {
    head = head.substr(0, 4096);
    std::array<std::size_t, 2> zeros = {0, 0};
    for (std::size_t at = 0; at < head.size(); ++at) zeros[at % 2] += head[at] == 0 ? 1 : 0;
    if (zeros[0] + zeros[1] == 0) return nullptr;
    const std::size_t most = head.size() / 2 * 7 / 10;
    if (head.size() >= 4 && zeros[1] >= most && zeros[0] * 20 <= head.size()) return &utf16_little_unmarked;
    if (head.size() >= 4 && zeros[0] >= most && zeros[1] * 20 <= head.size()) return &utf16_big_unmarked;
    return &binary;
}

unsigned byte_at(std::string_view text, std::size_t at) { return static_cast<unsigned char>(text[at]); }

/// Bytes of the GB18030 character at the start of `text`: 0 when it is none, more than text.size() when it is cut off.
std::size_t gb18030_length(std::string_view text) {
    const unsigned lead = byte_at(text, 0);
    if (lead < 0x80) return 1;
    if (lead == 0x80 || lead == 0xFF) return 0;
    if (text.size() < 2) return 2;
    const unsigned second = byte_at(text, 1);
    if (second >= 0x30 && second <= 0x39) return 4;
    return second >= 0x40 && second != 0x7F && second != 0xFF ? 2 : 0;
}

bool is_space(char c) { return c == ' ' || c == '\t'; }

}  // namespace

std::string_view name_of_binary_format(std::string_view head) {
    for (const Format& format : formats) {
        if (head.substr(0, format.first_bytes.size()) == format.first_bytes) return format.name;
    }
    const Format* format = format_by_zeros(head);
    return format == nullptr ? std::string_view() : format->name;
}

std::string remedy_for(std::string_view name) {
    for (const Format& format : formats) {
        if (format.name == name) return std::string(format.remedy);
    }
    for (const Format& format : {utf16_little_unmarked, utf16_big_unmarked}) {
        if (format.name == name) return std::string(format.remedy);
    }
    return std::string(binary.remedy);
}

bool looks_like_gb18030(std::string_view text) {
    std::size_t pairs = 0, everyday = 0;
    while (!text.empty()) {
        const std::size_t length = gb18030_length(text);
        if (length == 0) return false;
        if (length > text.size()) break;
        if (length == 2) {
            ++pairs;
            const unsigned lead = byte_at(text, 0);
            everyday += lead >= 0xA1 && lead <= 0xF7 && byte_at(text, 1) >= 0xA1 ? 1 : 0;
        }
        text.remove_prefix(length);
    }
    return pairs >= 2 && everyday * 4 >= pairs * 3;
}

bool looks_like_windows1252(std::string_view text) {
    std::size_t high = 0, alone = 0;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (byte_at(text, at) < 0x80) continue;
        ++high;
        const bool before = at == 0 || byte_at(text, at - 1) < 0x80;
        const bool after = at + 1 == text.size() || byte_at(text, at + 1) < 0x80;
        alone += before && after ? 1 : 0;
    }
    return high > 0 && alone * 10 >= high * 9;
}

std::size_t place_to_cut(std::string_view text, std::size_t limit, TextEncoding encoding) {
    if (text.size() <= limit) return text.size();
    for (std::size_t at = limit; at > limit / 2; --at) {
        if (is_space(text[at - 1])) return at;
    }
    if (encoding == TextEncoding::utf8) {
        std::size_t at = limit;
        while (at + 3 > limit && (byte_at(text, at) & 0xC0U) == 0x80) --at;
        return at;
    }
    std::size_t at = 0;  // where characters begin in GB18030 is known only from the start
    while (true) {
        const std::size_t length = std::max<std::size_t>(1, gb18030_length(text.substr(at)));
        if (at + length > limit) return at;
        at += length;
    }
}

}  // namespace locus
