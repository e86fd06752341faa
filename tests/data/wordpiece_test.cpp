#include "data/wordpiece.h"

#include <gtest/gtest.h>

#include "tests/data/tokenizer_testing.h"

namespace locus {
namespace {

using Ids = std::vector<std::int32_t>;

std::unique_ptr<Tokenizer> small_tokenizer() {
    return make_tokenizer(describe(
        {"un", "##believ", "##able", "##a", "believe", "a", "new", "store", "##s", "[", "]", "mask", ",", "é", "##é"}));
}

TEST(WordPiece, IdsEqualHuggingFaceInEveryVariant) {
    const nlohmann::json expected = fixture("bert_ids.json");
    const std::vector<std::string> texts = expected["texts"], vocabulary = expected["vocabulary"];
    ASSERT_EQ(expected["variants"].size(), 8U);
    std::size_t compared = 0;
    for (const nlohmann::json& variant : expected["variants"]) {
        TokenizerDescription description;
        description.tokens = vocabulary;
        description.rules = {true, variant["split_chinese"], variant["strip_accents"], variant["lowercase"]};
        const std::unique_ptr<Tokenizer> tokenizer = make_tokenizer(description);
        for (std::size_t i = 0; i < texts.size(); ++i) {
            const Ids ids = variant["ids"][i];
            EXPECT_EQ(encoded(*tokenizer, texts[i]), ids)
                << texts[i] << " " << variant["lowercase"] << variant["strip_accents"];
            const auto special = variant["ids_with_specials"].find(std::to_string(i));
            const Ids with_specials = special == variant["ids_with_specials"].end() ? ids : special->get<Ids>();
            EXPECT_EQ(encoded_with_specials(*tokenizer, texts[i]), with_specials) << texts[i];
            if (!variant["decoded"].empty()) {
                EXPECT_EQ(tokenizer->decode(ids), variant["decoded"][i].get<std::string>());
            }
            compared += ids.size();
        }
    }
    EXPECT_GT(compared, 6000U);
}

TEST(WordPiece, TakesTheLongestPieceAndGivesUpTheWholeWord) {
    const auto tokenizer = small_tokenizer();
    EXPECT_EQ(pieces_of(*tokenizer, "unbelievable"), "un ##believ ##able");
    EXPECT_EQ(pieces_of(*tokenizer, "believe"), "believe");
    EXPECT_EQ(pieces_of(*tokenizer, "unbelievabl"), "[UNK]") << "##a fits, the rest does not";
    EXPECT_EQ(pieces_of(*tokenizer, "stores, NEWS a"), "store ##s , new ##s a");
    EXPECT_EQ(pieces_of(*tokenizer, "believable"), "[UNK]") << "no piece begins the word";
}

TEST(WordPiece, AWordOfMoreThanAHundredCharactersIsUnknown) {
    const auto tokenizer = small_tokenizer();
    EXPECT_EQ(encoded(*tokenizer, std::string(100, 'a')).size(), 100U);
    EXPECT_EQ(pieces_of(*tokenizer, std::string(101, 'a')), "[UNK]");
    std::string accents;
    for (int i = 0; i < 100; ++i) accents += "é";
    const auto cased = make_tokenizer(describe({"é", "##é"}, {true, true, false, false}));
    EXPECT_EQ(encoded(*cased, accents).size(), 100U) << "characters are counted, not bytes";
    EXPECT_EQ(encoded(*cased, accents + "é"), Ids{1});
}

TEST(WordPiece, MaskInTextIsSpecialOnlyWhenAskedFor) {
    const auto tokenizer = small_tokenizer();
    EXPECT_EQ(pieces_of(*tokenizer, "a [MASK] store"), "a [ mask ] store");
    const std::int32_t a = encoded(*tokenizer, "a")[0], store = encoded(*tokenizer, "store")[0];
    EXPECT_EQ(encoded_with_specials(*tokenizer, "a [MASK] store"), (Ids{a, 4, store}));
    EXPECT_EQ(encoded_with_specials(*tokenizer, "[CLS]a[MASK][MASK]store[SEP][PAD][UNK]"),
              (Ids{2, a, 4, 4, store, 3, 0, 1}));
    EXPECT_EQ(encoded_with_specials(*tokenizer, "[mask]"), encoded(*tokenizer, "[mask]"));
}

TEST(WordPiece, AMillionSpecialsTakeLinearTime) {
    const auto tokenizer = small_tokenizer();
    std::string text;
    for (int i = 0; i < 200000; ++i) text += "[MASK]a";
    EXPECT_EQ(encoded_with_specials(*tokenizer, text).size(), 400000U);
}

TEST(WordPiece, DecodeJoinsPiecesAndWritesSpecialsOut) {
    const auto tokenizer = small_tokenizer();
    Ids ids{2};
    tokenizer->encode("unbelievable stores, a", ids);
    ids.push_back(4);
    ids.push_back(3);
    EXPECT_EQ(tokenizer->decode(ids), "[CLS] unbelievable stores , a [MASK] [SEP]");
    EXPECT_EQ(tokenizer->decode(Ids{6, 5}), "##believ un")
        << "a continuation in first place keeps its mark, as in Hugging Face";
    EXPECT_EQ(tokenizer->decode(Ids{}), "");
}

TEST(WordPiece, ContinuationsAndSpecialsAreKnownById) {
    const auto tokenizer = small_tokenizer();
    EXPECT_TRUE(tokenizer->continues_word(6));
    EXPECT_FALSE(tokenizer->continues_word(5));
    for (std::int32_t id = 0; id < 5; ++id) {
        EXPECT_TRUE(tokenizer->is_special(id));
        EXPECT_FALSE(tokenizer->continues_word(id));
    }
    EXPECT_FALSE(tokenizer->is_special(5));
    EXPECT_EQ(tokenizer->vocab_size(), 20);
    EXPECT_THROW(tokenizer->token(20), std::out_of_range);
    EXPECT_THROW(tokenizer->token(-1), std::out_of_range);
    EXPECT_THROW(tokenizer->decode(Ids{20}), std::out_of_range);
    EXPECT_THROW(tokenizer->continues_word(20), std::out_of_range);
}

TEST(WordPiece, EncodeAppends) {
    const auto tokenizer = small_tokenizer();
    Ids ids{7, 8};
    tokenizer->encode("new", ids);
    EXPECT_EQ(ids, (Ids{7, 8, 11}));
}

TEST(WordPiece, FingerprintKnowsWhatDecidesTheIds) {
    const TokenizerDescription base = describe({"ab", "c"});
    TokenizerDescription cased = base, swapped = base, cut = base, limited = base;
    cased.rules.lowercase = false;
    std::swap(swapped.tokens[5], swapped.tokens[6]);
    cut.tokens[5] = "a";
    cut.tokens[6] = "bc";
    limited.longest_word = 50;
    const std::uint64_t same = make_tokenizer(base)->fingerprint();
    EXPECT_EQ(make_tokenizer(base)->fingerprint(), same);
    for (const TokenizerDescription& other : {cased, swapped, cut, limited})
        EXPECT_NE(make_tokenizer(other)->fingerprint(), same);
}

}  // namespace
}  // namespace locus
