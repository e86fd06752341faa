#include "data/utf8.h"

#include <array>
#include <cstring>

namespace locus {
namespace {

struct Sequence {
    std::size_t bytes;  // of the character, or of the longest invalid piece that could have begun one
    bool valid;
};

/// The character at the start of `text`, which is not empty. Source: the Unicode standard, table 3-7.
Sequence sequence_at(std::string_view text) {
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
    const unsigned lead = byte(0);
    if (lead < 0x80) return {1, true};
    if (lead < 0xC2 || lead > 0xF4) return {1, false};
    const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    unsigned low = 0x80, high = 0xBF;  // of the second byte
    if (lead == 0xE0) low = 0xA0;      // shorter forms exist
    if (lead == 0xED) high = 0x9F;     // surrogates
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;  // above U+10FFFF
    for (std::size_t at = 1; at < length; ++at) {
        if (at == text.size() || byte(at) < low || byte(at) > high) return {at, false};
        low = 0x80;
        high = 0xBF;
    }
    return {length, true};
}

std::size_t ascii_prefix(std::string_view text) {
    std::size_t at = 0;
    for (std::uint64_t word; at + 8 <= text.size(); at += 8) {
        std::memcpy(&word, text.data() + at, 8);
        if ((word & 0x8080808080808080U) != 0) break;
    }
    while (at < text.size() && static_cast<unsigned char>(text[at]) < 0x80) ++at;
    return at;
}

}  // namespace

std::size_t first_invalid_utf8(std::string_view text) {
    std::size_t at = ascii_prefix(text);
    while (at < text.size()) {
        const Sequence found = sequence_at(text.substr(at));
        if (!found.valid) return at;
        at += found.bytes;
        if (at < text.size() && static_cast<unsigned char>(text[at]) < 0x80) at += ascii_prefix(text.substr(at));
    }
    return text.size();
}

std::int64_t append_replacing_invalid_utf8(std::string_view text, std::string& out) {
    std::int64_t replaced = 0;
    while (!text.empty()) {
        const std::size_t valid = first_invalid_utf8(text);
        out.append(text.substr(0, valid));
        text.remove_prefix(valid);
        if (text.empty()) break;
        out += "\xEF\xBF\xBD";
        ++replaced;
        text.remove_prefix(sequence_at(text).bytes);
    }
    return replaced;
}

bool is_blank(std::string_view text) {
    constexpr std::array<std::string_view, 19> wide = {
        "\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\x80", "\xE2\x80\x81", "\xE2\x80\x82", "\xE2\x80\x83",
        "\xE2\x80\x84", "\xE2\x80\x85", "\xE2\x80\x86", "\xE2\x80\x87", "\xE2\x80\x88", "\xE2\x80\x89", "\xE2\x80\x8A",
        "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80"};
    while (!text.empty()) {
        const char first = text.front();
        std::size_t bytes = (first == ' ' || (first >= '\t' && first <= '\r')) ? 1 : 0;
        if (static_cast<unsigned char>(first) >= 0x80) {
            for (const std::string_view space : wide) {
                if (text.substr(0, space.size()) == space) bytes = space.size();
            }
            if (text.substr(0, 3) == "\xEF\xBB\xBF") bytes = 3;
        }
        if (bytes == 0) return false;
        text.remove_prefix(bytes);
    }
    return true;
}

}  // namespace locus
