#include "data/tokenizer_files.h"

#include <gtest/gtest.h>

#include <system_error>

#include "data/byte_tokenizer.h"
#include "tests/data/tokenizer_testing.h"

namespace locus {
namespace {

constexpr const char* vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\n##s\ncafe\n";
constexpr const char* uncased = R"({"tokenizer_class": "BertTokenizer", "do_lower_case": true})";

std::string error_of(const TemporaryFolder& folder) {
    return message_of<DataError>([&] { load_tokenizer(folder.path()); });
}

std::string in(const TemporaryFolder& folder, const std::string& rest) { return folder.path().string() + "/" + rest; }

/// tokenizer.json as BERT's own repositories have it: strip_accents null, further fields, other ids for the special tokens.
nlohmann::json bert_json() {
    return nlohmann::json::parse(R"({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [{"id": 0, "special": true, "content": "[PAD]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false},
                         {"id": 3, "special": true, "content": "[MASK]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false}],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": false},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing", "single": [], "pair": [], "special_tokens": {}},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "type": "WordPiece",
                  "vocab": {"[PAD]": 0, "[unused0]": 1, "[CLS]": 2, "[MASK]": 3, "[UNK]": 4, "[SEP]": 5, "Caf": 6, "##é": 7, "cafe": 8}}})");
}

TEST(TokenizerFiles, WhatIsSavedIsLoaded) {
    for (int flags = 0; flags < 8; ++flags) {
        const TemporaryFolder folder;
        const Normalisation rules{true, (flags & 1) != 0, (flags & 2) != 0, (flags & 4) != 0};
        const auto saved = make_tokenizer(describe({"a", "##b", "\u2028", "\u00a0", "\"", "\\", "é", "𝔘"}, rules));
        saved->save(folder.path() / "new" / "folder");
        EXPECT_EQ(load_tokenizer(folder.path() / "new" / "folder")->fingerprint(), saved->fingerprint()) << flags;
        std::filesystem::remove(folder.path() / "new" / "folder" / "tokenizer.json");
        EXPECT_EQ(load_tokenizer(folder.path() / "new" / "folder")->fingerprint(), saved->fingerprint())
            << "vocab.txt, " << flags;
        std::filesystem::remove(folder.path() / "new" / "folder" / "vocab.txt");
        saved->save(folder.path() / "new" / "folder");
        std::filesystem::remove(folder.path() / "new" / "folder" / "tokenizer_config.json");
        EXPECT_EQ(load_tokenizer(folder.path() / "new" / "folder")->fingerprint(), saved->fingerprint())
            << "tokenizer.json, " << flags;
    }
}

TEST(TokenizerFiles, CharactersAndBytesAreLoadedAsSuch) {
    const TemporaryFolder folder;
    const auto bytes = make_tokenizer(byte_tokenizer_description());
    bytes->save(folder.path());
    EXPECT_EQ(load_tokenizer(folder.path())->fingerprint(), bytes->fingerprint());
    for (const bool lowercase : {false, true}) {
        TokenizerDescription description = describe({" ", "a", "\u2028", "\"", "北"}, {false, false, false, lowercase});
        description.kind = TokenizerKind::characters;
        const auto characters = make_tokenizer(description);
        characters->save(folder.path());
        EXPECT_EQ(load_tokenizer(folder.path())->fingerprint(), characters->fingerprint());
        EXPECT_EQ(encoded(*load_tokenizer(folder.path()), "A"), encoded(*characters, "A"));
    }
}

TEST(TokenizerFiles, SavingTwiceGivesTheSameBytes) {
    const TemporaryFolder first, second;
    const auto tokenizer = make_tokenizer(describe({"a", "##b"}));
    tokenizer->save(first.path());
    load_tokenizer(first.path())->save(second.path());
    for (const char* name : {"vocab.txt", "tokenizer.json", "tokenizer_config.json"}) {
        EXPECT_EQ(contents(first.path() / name), contents(second.path() / name)) << name;
        EXPECT_FALSE(contents(first.path() / name).empty()) << name;
    }
    EXPECT_EQ(contents(first.path() / "vocab.txt"), "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n");
}

TEST(VocabularyFile, LineEndsDoNotShiftIds) {
    const TemporaryFolder folder;
    folder.write("tokenizer_config.json", uncased);
    folder.write("vocab.txt", vocabulary);
    const std::uint64_t plain = load_tokenizer(folder.path())->fingerprint();
    std::string crlf;
    for (const char c : std::string(vocabulary)) crlf += c == '\n' ? "\r\n" : std::string(1, c);
    for (const std::string& same : {crlf, "\xEF\xBB\xBF" + std::string(vocabulary), std::string(vocabulary) + "\n\n",
                                    crlf + "\r\n", std::string(vocabulary, std::string(vocabulary).size() - 1)}) {
        folder.write("vocab.txt", same);
        EXPECT_EQ(load_tokenizer(folder.path())->fingerprint(), plain) << same;
    }
    folder.write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n\u2028\n\u0085\n\x0b\nlast\n");
    EXPECT_EQ(load_tokenizer(folder.path())->vocab_size(), 9) << "only LF ends a line";
    EXPECT_EQ(load_tokenizer(folder.path())->token(8), "last");
}

TEST(VocabularyFile, WhatIsWrongIsSaidWithItsLine) {
    const TemporaryFolder folder;
    folder.write("tokenizer_config.json", uncased);
    folder.write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\na\nthe\n");
    EXPECT_EQ(error_of(folder),
              in(folder, "vocab.txt:8: \"the\" is already on line 6; each token may stand in the vocabulary once"));
    folder.write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe\n");
    EXPECT_EQ(
        error_of(folder),
        in(folder, "vocab.txt: the vocabulary has no \"[MASK]\" (mask_token), which masked-language modelling needs"));
    folder.write("vocab.txt", "[PAD]\n[UNK]\n\n[CLS]\n[SEP]\n[MASK]\n");
    EXPECT_EQ(
        error_of(folder),
        in(folder,
           "vocab.txt:3: an empty line; a token's id is the number of its line, so that lines cannot be skipped"));
    folder.write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nna\xEFve\n");
    EXPECT_EQ(
        error_of(folder),
        in(folder, "vocab.txt:6: invalid UTF-8 at byte 3 of the line; a vocabulary is UTF-8 text, one token per line"));
    folder.write("vocab.txt", "\n");
    EXPECT_EQ(error_of(folder), in(folder, "vocab.txt: the vocabulary is empty"));
}

TEST(TokenizerFiles, MissingFilesAreNamed) {
    const TemporaryFolder folder;
    EXPECT_EQ(message_of<DataError>([&] { load_tokenizer(folder.path() / "none"); }),
              in(folder, "none: no such tokenizer folder"));
    EXPECT_EQ(error_of(folder), folder.path().string() + ": neither tokenizer.json nor vocab.txt is there");
    folder.write("merges.txt", "");
    EXPECT_EQ(error_of(folder),
              folder.path().string() +
                  ": neither tokenizer.json nor vocab.txt is there; merges.txt belongs to another kind of tokenizer");
    folder.write("vocab.txt", vocabulary);
    EXPECT_EQ(error_of(folder),
              in(folder,
                 "tokenizer_config.json: missing; vocab.txt alone does not say whether its words are lower case "
                 "(do_lower_case), nor whether accents are stripped (strip_accents)"));
}

TEST(TokenizerConfiguration, DecidesAboutNormalisation) {
    const TemporaryFolder folder;
    folder.write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nCafé\ncafé\nCafe\ncafe\n");
    const auto pieces = [&](const std::string& config) {
        folder.write("tokenizer_config.json", config);
        return pieces_of(*load_tokenizer(folder.path()), "Café");
    };
    EXPECT_EQ(pieces(R"({"do_lower_case": false})"), "Café");
    EXPECT_EQ(pieces(R"({"do_lower_case": true})"), "cafe")
        << "accents follow lower case where strip_accents is not given";
    EXPECT_EQ(pieces(R"({"do_lower_case": true, "strip_accents": null})"), "cafe");
    EXPECT_EQ(pieces(R"({"do_lower_case": true, "strip_accents": false})"), "café");
    EXPECT_EQ(pieces(R"({"do_lower_case": false, "strip_accents": true})"), "Cafe");
    EXPECT_EQ(pieces(R"({"tokenizer_class": "DistilBertTokenizerFast"})"), "cafe")
        << "transformers' default is lower case";
}

TEST(TokenizerConfiguration, RenamesSpecialTokens) {
    const TemporaryFolder folder;
    folder.write("vocab.txt", "<mask>\nthe\n[PAD]\n[UNK]\n[CLS]\n[SEP]\n");
    folder.write("tokenizer_config.json",
                 R"({"do_lower_case": true, "mask_token": {"content": "<mask>", "lstrip": true}})");
    const auto tokenizer = load_tokenizer(folder.path());
    EXPECT_EQ(tokenizer->special().mask, 0);
    EXPECT_EQ(tokenizer->special().pad, 2);
    EXPECT_EQ(tokenizer->special().sep, 5);
    EXPECT_EQ(encoded_with_specials(*tokenizer, "the <mask> the"), (std::vector<std::int32_t>{1, 0, 1}));
}

TEST(TokenizerConfiguration, WhatIsNotSupportedIsRefused) {
    const TemporaryFolder folder;
    folder.write("vocab.txt", vocabulary);
    folder.write("tokenizer_config.json", R"({"tokenizer_class": "DebertaV2Tokenizer"})");
    EXPECT_EQ(error_of(folder),
              in(folder,
                 "tokenizer_config.json: tokenizer_class is DebertaV2Tokenizer; a folder with vocab.txt and no "
                 "tokenizer.json must be BERT's (BertTokenizer)"));
    folder.write("tokenizer_config.json", R"({"do_lower_case": "yes"})");
    EXPECT_EQ(error_of(folder),
              in(folder, "tokenizer_config.json: \"do_lower_case\" is \"yes\", it should be true or false"));
    folder.write("tokenizer_config.json", R"({"do_basic_tokenize": false})");
    EXPECT_EQ(error_of(folder), in(folder, "tokenizer_config.json: do_basic_tokenize: false is not supported"));
    folder.write("tokenizer_config.json", R"({"never_split": ["x"]})");
    EXPECT_EQ(error_of(folder), in(folder, "tokenizer_config.json: never_split is not supported"));
    folder.write("tokenizer_config.json", "{");
    EXPECT_TRUE(contains(error_of(folder), "tokenizer_config.json: not JSON: parse error at line 1"));
}

TEST(TokenizerJson, BertsOwnIsRead) {
    const TemporaryFolder folder;
    folder.write("tokenizer.json", bert_json().dump());
    const auto tokenizer = load_tokenizer(folder.path());
    EXPECT_EQ(pieces_of(*tokenizer, "Café cafe"), "Caf ##é cafe");
    EXPECT_EQ(tokenizer->special().mask, 3);
    EXPECT_EQ(tokenizer->special().unknown, 4);
    folder.write("tokenizer_config.json", R"({"tokenizer_class": "BertTokenizer", "do_lower_case": true})");
    EXPECT_EQ(pieces_of(*load_tokenizer(folder.path()), "Café"), "cafe")
        << "tokenizer_config.json decides, as in transformers";
    folder.write("tokenizer_config.json", R"({"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": true})");
    EXPECT_EQ(pieces_of(*load_tokenizer(folder.path()), "Café"), "Caf ##é")
        << "but not for a class that knows no such key";
}

TEST(TokenizerJson, OtherKindsAreNamed) {
    const TemporaryFolder folder;
    folder.write(
        "tokenizer.json",
        R"({"model": {"type": "BPE", "vocab": {}, "merges": ["a b"]}, "pre_tokenizer": {"type": "ByteLevel"}})");
    EXPECT_EQ(error_of(folder),
              in(folder,
                 "tokenizer.json: a tokenizer of another kind (model BPE, pre-tokenizer ByteLevel, normalizer none); "
                 "supported are BERT's (WordPiece with \"##\", BertPreTokenizer, BertNormalizer) and the character "
                 "and byte tokenizers that Locus writes"));
    folder.write("tokenizer.json", "[1, 2]");
    EXPECT_TRUE(contains(error_of(folder), "a tokenizer of another kind (model none"));
    folder.write("tokenizer.json", "PK\x03\x04");
    EXPECT_TRUE(contains(error_of(folder), "tokenizer.json: not JSON"));
    nlohmann::json other_prefix = bert_json();
    other_prefix["model"]["continuing_subword_prefix"] = "@@";
    folder.write("tokenizer.json", other_prefix.dump());
    EXPECT_TRUE(contains(error_of(folder), "a tokenizer of another kind (model WordPiece"));
}

TEST(TokenizerJson, WhatIsWrongIsSaid) {
    const TemporaryFolder folder;
    const auto error_with = [&](const std::function<void(nlohmann::json&)>& spoil) {
        nlohmann::json file = bert_json();
        spoil(file);
        folder.write("tokenizer.json", file.dump());
        return error_of(folder);
    };
    EXPECT_EQ(
        error_with([](nlohmann::json& file) {
            file["model"]["vocab"].erase("[MASK]");
            file["model"]["vocab"]["x"] = 3;
        }),
        in(folder,
           "tokenizer.json: the vocabulary has no \"[MASK]\" (mask_token), which masked-language modelling needs"));
    EXPECT_EQ(error_with([](nlohmann::json& file) { file["model"]["vocab"]["cafe"] = 9; }),
              in(folder,
                 "tokenizer.json: model.vocab gives \"cafe\" the id 9; the ids of 9 tokens must be 0 to 8, each once"));
    EXPECT_EQ(error_with([](nlohmann::json& file) { file["model"]["vocab"]["cafe"] = 7; }),
              in(folder,
                 "tokenizer.json: model.vocab gives \"cafe\" the id 7; the ids of 9 tokens must be 0 to 8, each once"));
    EXPECT_EQ(error_with([](nlohmann::json& file) { file["model"]["vocab"] = nlohmann::json::object(); }),
              in(folder, "tokenizer.json: model.vocab is empty"));
    EXPECT_EQ(error_with([](nlohmann::json& file) {
                  file["added_tokens"].push_back({{"id", 9}, {"content", "[ENT]"}});
              }),
              in(folder,
                 "tokenizer.json: added token \"[ENT]\" is not supported: only the padding, unknown, [CLS], [SEP] and "
                 "[MASK] tokens "
                 "may be added tokens"));
    EXPECT_EQ(error_with([](nlohmann::json& file) { file["model"]["max_input_chars_per_word"] = 0; }),
              in(folder, "tokenizer.json: max_input_chars_per_word is 0, it should be at least 1"));
    EXPECT_TRUE(contains(error_with([](nlohmann::json& file) { file["model"]["max_input_chars_per_word"] = "x"; }),
                         "tokenizer.json: "));
}

TEST(TokenizerFiles, AFullDiskIsASystemError) {
    const SmallDisk disk(64 << 10);
    std::vector<std::string> tokens;
    for (int i = 0; i < 20000; ++i) tokens.push_back("token" + std::to_string(i));
    const auto tokenizer = make_tokenizer(describe(tokens));
    EXPECT_THROW(tokenizer->save(disk.folder()), std::system_error);
}

}  // namespace
}  // namespace locus
