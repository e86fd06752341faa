#pragma once
// What bytes are that claim to be text: known file formats by their first bytes, encodings by their habits.

#include <cstddef>
#include <string>
#include <string_view>

namespace locus {

/// "a gzip archive", "UTF-16 text", ... when the first bytes of a file say so; empty when nothing is known of them.
std::string_view name_of_binary_format(std::string_view head);

/// What to do about such a file: "unpack it with gunzip".
std::string remedy_for(std::string_view format);

/// True for bytes that decode as GB18030 and are, for the larger part of their double bytes, everyday Chinese (the area of GB 2312).
/// A character that `text` cuts off at its end is forgiven.
bool looks_like_gb18030(std::string_view text);

/// True when each byte above 0x7F stands alone between ASCII letters, as accented letters do in Western single-byte encodings.
bool looks_like_windows1252(std::string_view text);

enum class TextEncoding { utf8, gb18030 };

/// A place of at most `limit` bytes into `text`, never 0, where it can be cut: after the last white space of the second half, else between two
/// characters. Needs limit >= 8.
std::size_t place_to_cut(std::string_view text, std::size_t limit, TextEncoding encoding);

}  // namespace locus
