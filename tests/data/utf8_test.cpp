#include "data/utf8.h"

#include <gtest/gtest.h>

namespace locus {
namespace {

TEST(Utf8, AcceptsAllCharactersAndNothingElse) {
    for (std::uint32_t c = 0; c < 0x110000; c += c < 0x1000 ? 1 : 17) {
        std::string text;
        if (c < 0x80) {
            text = {static_cast<char>(c)};
        } else if (c < 0x800) {
            text = {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 63))};
        } else if (c < 0x10000) {
            text = {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 63)),
                    static_cast<char>(0x80 | (c & 63))};
        } else {
            text = {static_cast<char>(0xF0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 63)),
                    static_cast<char>(0x80 | (c >> 6 & 63)), static_cast<char>(0x80 | (c & 63))};
        }
        const bool surrogate = c >= 0xD800 && c < 0xE000;
        EXPECT_EQ(first_invalid_utf8(text), surrogate ? 0 : text.size()) << c;
        if (text.size() > 1) {
            EXPECT_EQ(first_invalid_utf8(text.substr(0, text.size() - 1)), 0U) << c;
        }
    }
}

TEST(Utf8, FindsTheFirstInvalidByteAtAnyPlace) {
    for (const std::string bad : {"\xFF", "\x80", "\xC0\xAF", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80",
                                  "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE4\xBD"}) {
        for (std::size_t place = 0; place < 40; ++place) {
            const std::string text = std::string(place, 'a') + bad + "bcdefghijk";
            EXPECT_EQ(first_invalid_utf8(text), place);
        }
    }
    EXPECT_EQ(first_invalid_utf8("caf\xC3\xA9 \xE4\xBD\xA0\xE5\xA5\xBD \xF0\x9F\x98\x80!"), 18U);
}

// The example of the Unicode standard, table 3-8, and what Python's errors="replace" gives.
TEST(Utf8, ReplacesMaximalInvalidPieces) {
    std::string out;
    EXPECT_EQ(append_replacing_invalid_utf8("a\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64", out), 6);
    const std::string r = "\xEF\xBF\xBD";
    EXPECT_EQ(out, "a" + r + r + r + "b" + r + "c" + r + r + "d");
}

TEST(Utf8, KnowsBlankText) {
    for (const char* blank :
         {"", " ", "\t \v\f", "\xC2\xA0", "\xE3\x80\x80", "\xE2\x80\xA8 ", "\xEF\xBB\xBF", "\xC2\x85"}) {
        EXPECT_TRUE(is_blank(blank));
    }
    for (const char* text : {"a", " \xC3\xA9", "\xE2\x80\x8B", "\xE3\x80\x80\xE4\xBD\xA0"})
        EXPECT_FALSE(is_blank(text));
}

}  // namespace
}  // namespace locus
