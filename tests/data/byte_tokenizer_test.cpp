#include "data/byte_tokenizer.h"

#include <gtest/gtest.h>

#include "tests/data/tokenizer_testing.h"

namespace locus {
namespace {

using Ids = std::vector<std::int32_t>;

TEST(ByteTokenizer, EachByteIsOneTokenAndComesBack) {
    const auto tokenizer = make_tokenizer(byte_tokenizer_description());
    EXPECT_EQ(tokenizer->vocab_size(), 261);
    EXPECT_EQ(encoded(*tokenizer, "a é"), (Ids{5 + 'a', 5 + ' ', 5 + 0xC3, 5 + 0xA9}));
    const std::string text("Tab\tZero\0 – 北京 👨‍👩‍👧 \r\n", 35);
    EXPECT_EQ(tokenizer->decode(encoded(*tokenizer, text)), text);
}

TEST(ByteTokenizer, SymbolsAreThoseOfGpt2) {
    const auto tokenizer = make_tokenizer(byte_tokenizer_description());
    EXPECT_EQ(tokenizer->token(5 + ' '), "Ġ");
    EXPECT_EQ(tokenizer->token(5 + '\n'), "Ċ");
    EXPECT_EQ(tokenizer->token(5 + 'A'), "A");
    EXPECT_EQ(tokenizer->token(5 + 0xAD), "Ń");
    EXPECT_EQ(tokenizer->token(5 + 0xFF), "ÿ");
}

TEST(ByteTokenizer, BrokenCharactersAreReplacedWhenDecoded) {
    const auto tokenizer = make_tokenizer(byte_tokenizer_description());
    EXPECT_EQ(tokenizer->decode(Ids{5 + 'a', 5 + 0xE2, 5 + 0x82, 5 + 'b', 5 + 0xFF}), "a\uFFFDb\uFFFD");
    EXPECT_EQ(tokenizer->decode(Ids{4, 5 + 'x'}), "[MASK]x");
}

TEST(ByteTokenizer, OnlyBytesInsideACharacterContinue) {
    const auto tokenizer = make_tokenizer(byte_tokenizer_description());
    std::string begins;
    for (const std::int32_t id : encoded(*tokenizer, "aé北")) begins += tokenizer->continues_word(id) ? '.' : '|';
    EXPECT_EQ(begins, "||.|..");
    EXPECT_FALSE(tokenizer->continues_word(4));
}

TEST(ByteTokenizer, SpecialTokensAndInvalidTextAreTold) {
    const auto tokenizer = make_tokenizer(byte_tokenizer_description());
    EXPECT_EQ(encoded(*tokenizer, "[MASK]").size(), 6U);
    EXPECT_EQ(encoded_with_specials(*tokenizer, "a[MASK]"), (Ids{5 + 'a', 4}));
    EXPECT_EQ(message_of<DataError>([&] { encoded(*tokenizer, "ab\xff"); }), "invalid UTF-8 at byte 2 of the text");
}

TEST(ByteTokenizer, AVocabularyWithoutAByteIsRefused) {
    TokenizerDescription description = byte_tokenizer_description();
    description.tokens[5 + 'q'] = "qq";
    EXPECT_EQ(message_of<DataError>([&] { make_tokenizer(description); }),
              "the byte vocabulary has no token \"q\" (byte 0x71)");
}

}  // namespace
}  // namespace locus
