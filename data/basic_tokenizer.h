#pragma once
// BERT's basic tokenizer: text to words. In this order, as Hugging Face's BertNormalizer and BertPreTokenizer have it:
//
//   clean_text     drops control, format and private characters, U+0000 and U+FFFD; white space becomes a space
//   split_chinese  puts spaces around CJK ideographs
//   strip_accents  NFD, then drops non-spacing marks (Hangul comes out as jamo: that is what BERT does)
//   lowercase      character by character, without context (a final sigma is not special)
//   words          split at white space; each punctuation character is a word of its own
//
// source    Devlin et al. 2019, arXiv:1810.04805; classes of characters: character_class.h
// cost      linear in the text; memory for one word at a time

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace locus {

struct Normalisation {
    bool clean_text = true, split_chinese = true, strip_accents = true, lowercase = true;
};

/// Receives a normalised word and its length in characters. A word longer than the limit arrives cut, with
/// `characters` = limit + 1.
using WordVisitor = std::function<void(std::string_view word, std::int64_t characters)>;

/// Throws DataError for invalid UTF-8, naming the byte.
void split_words(std::string_view text, const Normalisation& rules, std::int64_t longest_word,
                 const WordVisitor& visit);

/// The normalised characters of `text`, not split into words. Throws DataError for invalid UTF-8.
void normalise_characters(std::string_view text, const Normalisation& rules,
                          const std::function<void(char32_t)>& visit);

/// Appends `c` in UTF-8.
void append_utf8(std::string& text, char32_t c);

/// The code point at text[at] and its length in bytes; length 0 where the bytes are not UTF-8.
struct CodePoint {
    char32_t value;
    std::int64_t length;
};
CodePoint code_point_at(std::string_view text, std::size_t at);

}  // namespace locus
