#include "data/basic_tokenizer.h"

#include <gtest/gtest.h>

#include "tests/data/tokenizer_testing.h"

namespace locus {
namespace {

std::vector<std::string> words(std::string_view text, const Normalisation& rules = {}, std::int64_t longest = 100) {
    std::vector<std::string> result;
    split_words(text, rules, longest, [&](std::string_view word, std::int64_t) { result.emplace_back(word); });
    return result;
}

using Words = std::vector<std::string>;
constexpr Normalisation cased{true, true, false, false};

std::string hash_of_block(char32_t begin, const Normalisation& rules) {
    std::uint64_t hash = 0xCBF29CE484222325ULL;
    const auto add = [&](char byte) { hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001B3ULL; };
    for (char32_t c = begin; c < begin + 4096; ++c) {
        if (c >= 0xD800 && c < 0xE000) continue;
        std::string text = "a";
        append_utf8(text, c);
        split_words(text + "b", rules, 100, [&](std::string_view word, std::int64_t) {
            for (const char byte : word) add(byte);
            add('\n');
        });
    }
    std::string digits(16, '0');
    for (std::size_t i = 16; i-- > 0; hash >>= 4U) digits[i] = "0123456789abcdef"[hash & 15U];
    return digits;
}

// Each of the 1,112,064 code points, between two letters, in four variants.
TEST(BasicTokenizer, EachCodePointIsTreatedAsHuggingFaceTreatsIt) {
    const nlohmann::json expected = fixture("code_points.json");
    ASSERT_EQ(expected["variants"].size(), 4U);
    for (const nlohmann::json& variant : expected["variants"]) {
        const Normalisation rules{true, true, variant["strip_accents"], variant["lowercase"]};
        const std::vector<std::string> hashes = variant["hashes"];
        ASSERT_EQ(hashes.size(), 0x110000U / 4096);
        for (std::size_t block = 0; block < hashes.size(); ++block) {
            ASSERT_EQ(hash_of_block(static_cast<char32_t>(block * 4096), rules), hashes[block])
                << "a code point in the 4096 from " << block * 4096 << ", lowercase " << rules.lowercase
                << ", strip_accents " << rules.strip_accents;
        }
    }
}

TEST(BasicTokenizer, LowercaseAndStripAccentsAreIndependent) {
    const std::string text = "ÉCOLE Été";
    EXPECT_EQ(words(text, {true, true, false, false}), (Words{"ÉCOLE", "Été"}));
    EXPECT_EQ(words(text, {true, true, false, true}), (Words{"école", "été"}));
    EXPECT_EQ(words(text, {true, true, true, false}), (Words{"ECOLE", "Ete"}));
    EXPECT_EQ(words(text, {true, true, true, true}), (Words{"ecole", "ete"}));
}

TEST(BasicTokenizer, WhiteSpaceOfEveryKindSeparatesWords) {
    EXPECT_EQ(words("a\tb\nc\rd\r\ne f"), (Words{"a", "b", "c", "d", "e", "f"}));
    EXPECT_EQ(words("a\u00a0b\u2003c\u2028d\u2029e\u3000f\u1680g\u202fh"),
              (Words{"a", "b", "c", "d", "e", "f", "g", "h"}));
    EXPECT_EQ(words(" \t\u00a0 "), Words{});
    EXPECT_EQ(words(""), Words{});
}

TEST(BasicTokenizer, ControlCharactersGoWithoutSeparating) {
    EXPECT_EQ(words("a\u0085b\u200bc\u200dd\u00ade\ufefff\ufffdg\u0007h"), (Words{"abcdefgh"}));
    EXPECT_EQ(words(std::string_view("a\0b\x7f", 4)), (Words{"ab"}));
    EXPECT_EQ(words("a\u0085b\x0b"
                    "c",
                    {false, true, true, true}),
              (Words{"a", "b", "c"}))
        << "white space when text is not cleaned";
}

TEST(BasicTokenizer, EachPunctuationCharacterIsAWord) {
    EXPECT_EQ(words("don't...stop$5+x_y"),
              (Words{"don", "'", "t", ".", ".", ".", "stop", "$", "5", "+", "x", "_", "y"}));
    EXPECT_EQ(words("«oui»—non。"), (Words{"«", "oui", "»", "—", "non", "。"}));
    EXPECT_EQ(words("a≠b", cased), (Words{"a≠b"})) << "a symbol, not punctuation";
    EXPECT_EQ(words("a≠b"), (Words{"a", "=", "b"})) << "NFD makes it an equals sign";
}

TEST(BasicTokenizer, IdeographsAreWordsOnlyWhenAskedFor) {
    EXPECT_EQ(words("买iPhone手机", cased), (Words{"买", "iPhone", "手", "机"}));
    EXPECT_EQ(words("买iPhone手机", {true, false, false, false}), (Words{"买iPhone手机"}));
    EXPECT_EQ(words("㐀𠀀𪜀豈", cased), (Words{"㐀", "𠀀", "𪜀", "豈"}));
    EXPECT_EQ(words("カナ한글", cased), (Words{"カナ한글"}));
}

TEST(BasicTokenizer, MarksThatStayAreInCanonicalOrder) {
    EXPECT_EQ(words("x\u302e\u1b44", {true, true, true, false}), (Words{"x\u1b44\u302e"})) << "class 224 before 9";
    EXPECT_EQ(words("x\u302e\u0301\u1b44", {true, true, true, false}), (Words{"x\u1b44\u302e"}))
        << "the accent between them goes";
    EXPECT_EQ(words("x\u302ey\u1b44", {true, true, true, false}), (Words{"x\u302ey\u1b44"}));
}

TEST(BasicTokenizer, LongWordsArriveCutWithTheirLengthBeyondTheLimit) {
    std::vector<std::pair<std::string, std::int64_t>> seen;
    split_words("ééé éééé x", {true, true, false, false}, 3,
                [&](std::string_view word, std::int64_t characters) { seen.emplace_back(word, characters); });
    ASSERT_EQ(seen.size(), 3U);
    EXPECT_EQ(seen[0], std::make_pair(std::string("ééé"), std::int64_t{3}));
    EXPECT_EQ(seen[1].second, 4);
    EXPECT_EQ(seen[2], std::make_pair(std::string("x"), std::int64_t{1}));
    seen.clear();
    split_words(std::string(1 << 20, 'q'), {}, 100,
                [&](std::string_view word, std::int64_t characters) { seen.emplace_back(word, characters); });
    ASSERT_EQ(seen.size(), 1U);
    EXPECT_EQ(seen[0].first.size(), 101U);
}

TEST(BasicTokenizer, MillionsOfMarksTakeLinearTime) {
    std::string text = "x";
    for (int i = 0; i < 300000; ++i) text += "\u302e\u1b44";  // in quadratic time this would take minutes
    const Words result = words(text + " y", {true, true, true, true});
    ASSERT_EQ(result.size(), 2U);
    EXPECT_EQ(result[0].substr(0, 4), "x\u1b44");
    EXPECT_EQ(result[1], "y");
}

TEST(BasicTokenizer, InvalidUtf8IsRefusedWithItsPlace) {
    EXPECT_EQ(message_of<DataError>([] {
                  words(
                      "abc\xff"
                      "d");
              }),
              "invalid UTF-8 at byte 3 of the text");
    for (const char* bad : {"\xc3", "\xed\xa0\x80", "\xc0\x80", "\xf4\x90\x80\x80", "\xe2\x82"}) {
        EXPECT_THROW(words(bad), DataError) << "bytes " << bad;
    }
}

TEST(BasicTokenizer, NormalisedCharactersKeepTheirSpaces) {
    std::string result;
    normalise_characters("Ça va\t?", {false, false, true, true}, [&](char32_t c) { append_utf8(result, c); });
    EXPECT_EQ(result, "ca va\t?");
}

}  // namespace
}  // namespace locus
