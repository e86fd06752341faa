#include "data/character_class.h"

#include <utf8proc.h>

#include <span>
#include <vector>

#include "data/character_class_tables.h"

namespace locus {
namespace {

constexpr std::size_t code_points = 0x110000;

void mark(std::vector<std::uint8_t>& classes, std::span<const tables::Range> ranges, CharacterClass bit) {
    for (const tables::Range& range : ranges) {
        for (char32_t c = range.first; c <= range.last; ++c) classes[c] = static_cast<std::uint8_t>(classes[c] | bit);
    }
}

std::vector<std::uint8_t> make_classes() {
    std::vector<std::uint8_t> classes(code_points, 0);
    mark(classes, tables::removed, class_removed);
    mark(classes, tables::space, class_space);
    mark(classes, tables::chinese, class_chinese);
    mark(classes, tables::punctuation, class_punctuation);
    mark(classes, tables::accent, class_accent);
    mark(classes, tables::combining, class_combining);
    mark(classes, tables::astral_decomposition, class_astral_decomposition);
    return classes;
}

}  // namespace

const std::uint8_t* character_classes() {
    static const std::vector<std::uint8_t> classes = make_classes();
    return classes.data();
}

char32_t lower_case(char32_t c) {
    if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
    for (const tables::Shift& shift : tables::newer_lower_case) {
        if (c < shift.first) break;
        if (c <= shift.last) return static_cast<char32_t>(static_cast<std::int32_t>(c) + shift.offset);
    }
    return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

}  // namespace locus
