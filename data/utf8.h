#pragma once
// UTF-8 as RFC 3629 has it: at most four bytes, no overlong forms, no surrogates, nothing above U+10FFFF.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace locus {

/// Where the first byte stands that is not part of valid UTF-8; text.size() when all is valid.
std::size_t first_invalid_utf8(std::string_view text);

/// Appends `text` to `out` with U+FFFD for each maximal invalid piece (the Unicode standard's chapter 3.9, what Python does too);
/// returns how many there were.
std::int64_t append_replacing_invalid_utf8(std::string_view text, std::string& out);

/// True for text of white space only (Unicode's White_Space, and the byte-order mark), also for empty text.
bool is_blank(std::string_view text);

}  // namespace locus
