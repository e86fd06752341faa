#include "data/character_tokenizer.h"

#include <gtest/gtest.h>

#include "tests/data/tokenizer_testing.h"

namespace locus {
namespace {

using Ids = std::vector<std::int32_t>;

TokenizerDescription characters(const std::vector<std::string>& ordinary, bool lowercase, bool strip_accents) {
    TokenizerDescription description = describe(ordinary, {false, false, strip_accents, lowercase});
    description.kind = TokenizerKind::characters;
    return description;
}

TEST(CharacterTokenizer, EachCharacterIsOneTokenSpacesToo) {
    const auto tokenizer = make_tokenizer(characters({" ", "a", "é", "北"}, false, false));
    EXPECT_EQ(encoded(*tokenizer, "a é北x"), (Ids{6, 5, 7, 8, 1}));
    EXPECT_EQ(tokenizer->decode(Ids{6, 5, 7, 8, 1, 4}), "a é北[UNK][MASK]");
    EXPECT_EQ(encoded_with_specials(*tokenizer, "a[MASK]a"), (Ids{6, 4, 6}));
}

TEST(CharacterTokenizer, NormalisesOnlyAsTold) {
    const std::vector<std::string> all{"A", "a", "É", "é", "E", "e"};
    EXPECT_EQ(encoded(*make_tokenizer(characters(all, false, false)), "AÉ"), (Ids{5, 7}));
    EXPECT_EQ(encoded(*make_tokenizer(characters(all, true, false)), "AÉ"), (Ids{6, 8}));
    EXPECT_EQ(encoded(*make_tokenizer(characters(all, false, true)), "AÉ"), (Ids{5, 9}));
    EXPECT_EQ(encoded(*make_tokenizer(characters(all, true, true)), "AÉ"), (Ids{6, 10}));
    EXPECT_EQ(encoded(*make_tokenizer(characters({"\t", "a", "\u200b"}, true, true)), "a\t\u200b"), (Ids{6, 5, 7}))
        << "nothing is cleaned away";
}

TEST(CharacterTokenizer, OnlyCombiningMarksContinue) {
    const auto tokenizer = make_tokenizer(characters({"e", "\u0301", "\u0940", " "}, false, false));
    EXPECT_FALSE(tokenizer->continues_word(5));
    EXPECT_TRUE(tokenizer->continues_word(6));
    EXPECT_TRUE(tokenizer->continues_word(7));
    EXPECT_FALSE(tokenizer->continues_word(8));
    EXPECT_FALSE(tokenizer->continues_word(4));
}

TEST(CharacterTokenizer, ATokenOfTwoCharactersIsRefused) {
    EXPECT_EQ(message_of<DataError>([] {
                  make_tokenizer(characters({"a", "bc"}, false, false));
              }),
              "the character vocabulary holds \"bc\" (id 6), which is not one character");
    EXPECT_THROW(encoded(*make_tokenizer(characters({"a"}, false, false)), "\xff"), DataError);
}

}  // namespace
}  // namespace locus
