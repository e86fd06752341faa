#pragma once
// Character classes as BERT's tokenizer has them in Hugging Face's library, the same with any version of utf8proc.

#include <cstdint>

namespace locus {

enum CharacterClass : std::uint8_t {
    class_removed = 1,               // dropped by clean_text: control, format and private characters, U+0000, U+FFFD
    class_space = 2,                 // separates words
    class_chinese = 4,               // a CJK ideograph (not kana, not Hangul)
    class_punctuation = 8,           // a word of its own
    class_accent = 16,               // a non-spacing mark, dropped by strip_accents
    class_combining = 32,            // another mark that canonical ordering moves
    class_astral_decomposition = 64  // above U+FFFF and taken apart by NFD
};

/// The classes of all code points, indexed by code point; the bits are CharacterClass. 1.1 MB, made at the first call.
const std::uint8_t* character_classes();

/// The small letter of a capital; U+0130, which has two, gives the first ("i"; the second is U+0307).
char32_t lower_case(char32_t c);

namespace tables {

struct Range {
    char32_t first, last;
};

struct Shift {
    char32_t first, last;
    std::int32_t offset;
};

}  // namespace tables
}  // namespace locus
