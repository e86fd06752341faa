#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/file_descriptor.h"
#include "data/tokenizer_files.h"

namespace locus {
namespace {

using Json = nlohmann::ordered_json;  // keeps the order of ids
namespace fs = std::filesystem;

void write_file(const fs::path& path, std::string_view text) { open_to_write(path).write(text); }

Json normalizer_json(const Normalisation& rules) {
    return {{"type", "BertNormalizer"},
            {"clean_text", rules.clean_text},
            {"handle_chinese_chars", rules.split_chinese},
            {"strip_accents", rules.strip_accents},
            {"lowercase", rules.lowercase}};
}

Json vocabulary_json(const TokenizerDescription& description) {
    Json vocabulary = Json::object();
    // Json::operator[] of an ordered object searches from the front: quadratic. The tokens are known to differ.
    auto& items = vocabulary.get_ref<Json::object_t&>();
    for (std::size_t id = 0; id < description.tokens.size(); ++id) {
        items.Json::object_t::Container::emplace_back(description.tokens[id], id);
    }
    return vocabulary;
}

void add_wordpiece(Json& file, const TokenizerDescription& description, const std::string& unknown) {
    file["normalizer"] = normalizer_json(description.rules);
    file["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
    file["decoder"] = {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", false}};
    file["model"] = {{"type", "WordPiece"},
                     {"unk_token", unknown},
                     {"continuing_subword_prefix", "##"},
                     {"max_input_chars_per_word", description.longest_word}};
}

void add_characters(Json& file, const TokenizerDescription& description, const std::string& unknown) {
    if (description.rules.lowercase || description.rules.strip_accents)
        file["normalizer"] = normalizer_json(description.rules);
    file["pre_tokenizer"] = {
        {"type", "Split"}, {"pattern", {{"Regex", "[\\s\\S]"}}}, {"behavior", "Isolated"}, {"invert", false}};
    file["decoder"] = {{"type", "Fuse"}};
    file["model"] = {{"type", "WordLevel"}, {"unk_token", unknown}};
}

void add_bytes(Json& file) {
    const Json byte_level = {
        {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}};
    file["pre_tokenizer"] = byte_level;
    file["decoder"] = byte_level;
    file["model"] = {{"type", "BPE"},
                     {"dropout", nullptr},
                     {"unk_token", nullptr},
                     {"continuing_subword_prefix", nullptr},
                     {"end_of_word_suffix", nullptr},
                     {"fuse_unk", false},
                     {"byte_fallback", false},
                     {"ignore_merges", false},
                     {"merges", Json::array()}};
}

Json sequence_part(const std::string& token, int type) {
    return {{"SpecialToken", {{"id", token}, {"type_id", type}}}};
}

Json text_part(const char* name, int type) { return {{"Sequence", {{"id", name}, {"type_id", type}}}}; }

Json template_json(const std::string& cls, std::int32_t cls_id, const std::string& sep, std::int32_t sep_id) {
    const auto special = [](const std::string& token, std::int32_t id) {
        return Json{{"id", token}, {"ids", Json::array({id})}, {"tokens", Json::array({token})}};
    };
    Json specials = Json::object();
    specials[cls] = special(cls, cls_id);
    specials[sep] = special(sep, sep_id);
    return {{"type", "TemplateProcessing"},
            {"single", Json::array({sequence_part(cls, 0), text_part("A", 0), sequence_part(sep, 0)})},
            {"pair", Json::array({sequence_part(cls, 0), text_part("A", 0), sequence_part(sep, 0), text_part("B", 1),
                                  sequence_part(sep, 1)})},
            {"special_tokens", specials}};
}

Json added_tokens_json(const TokenizerDescription& description) {
    Json added = Json::array();
    std::vector<std::int32_t> ids;
    for (const SpecialKey& key : special_keys) ids.push_back(description.special.*key.id);
    std::sort(ids.begin(), ids.end());
    for (const std::int32_t id : ids) {
        added.push_back({{"id", id},
                         {"content", description.tokens[static_cast<std::size_t>(id)]},
                         {"single_word", false},
                         {"lstrip", false},
                         {"rstrip", false},
                         {"normalized", false},
                         {"special", true}});
    }
    return added;
}

Json tokenizer_json(const TokenizerDescription& description) {
    const auto name = [&](std::int32_t id) { return description.tokens[static_cast<std::size_t>(id)]; };
    const SpecialTokens& special = description.special;
    Json file = {{"version", "1.0"},
                 {"truncation", nullptr},
                 {"padding", nullptr},
                 {"added_tokens", added_tokens_json(description)},
                 {"normalizer", nullptr},
                 {"pre_tokenizer", nullptr},
                 {"post_processor", template_json(name(special.cls), special.cls, name(special.sep), special.sep)},
                 {"decoder", nullptr},
                 {"model", nullptr}};
    switch (description.kind) {
        case TokenizerKind::wordpiece: add_wordpiece(file, description, name(special.unknown)); break;
        case TokenizerKind::characters: add_characters(file, description, name(special.unknown)); break;
        case TokenizerKind::bytes: add_bytes(file); break;
    }
    file["model"]["vocab"] = vocabulary_json(description);
    return file;
}

Json config_json(const TokenizerDescription& description) {
    Json config = Json::object();
    if (description.kind == TokenizerKind::wordpiece) {
        config = {{"tokenizer_class", "BertTokenizer"},
                  {"do_lower_case", description.rules.lowercase},
                  {"strip_accents", description.rules.strip_accents},
                  {"tokenize_chinese_chars", description.rules.split_chinese}};
    } else {
        config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                  {"model_input_names", Json::array({"input_ids", "token_type_ids", "attention_mask"})}};
    }
    config["clean_up_tokenization_spaces"] = false;
    for (const SpecialKey& key : special_keys) {
        config[key.key] = description.tokens[static_cast<std::size_t>(description.special.*key.id)];
    }
    return config;
}

}  // namespace

void write_tokenizer_files(const TokenizerDescription& description, const fs::path& folder) {
    fs::create_directories(folder);
    std::string vocabulary;
    for (const std::string& token : description.tokens) vocabulary.append(token).push_back('\n');
    write_file(folder / "vocab.txt", vocabulary);
    write_file(folder / "tokenizer.json", tokenizer_json(description).dump(2) + "\n");
    write_file(folder / "tokenizer_config.json", config_json(description).dump(2) + "\n");
}

}  // namespace locus
