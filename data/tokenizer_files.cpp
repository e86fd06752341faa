#include "data/tokenizer_files.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>

#include "data/error.h"
#include "data/file_descriptor.h"
#include "data/fingerprint.h"
#include "data/utf8.h"

namespace locus {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

// ---- files ----

std::string read_file(const fs::path& path) {
    const FileDescriptor file = open_to_read(path);
    std::string text;
    std::array<char, 65536> buffer;
    while (const std::size_t count = file.read(buffer.data(), buffer.size())) text.append(buffer.data(), count);
    return text;
}

Json read_json(const fs::path& path) {
    try {
        return Json::parse(read_file(path));
    } catch (const Json::parse_error& error) {
        const std::string what = error.what();
        const auto begin = what.find("] ");
        throw DataError(
            fmt::format("{}: not JSON: {}", path.string(), begin == std::string::npos ? what : what.substr(begin + 2)));
    }
}

// ---- special tokens ----

using TokenIds = std::unordered_map<std::string, std::int32_t>;

/// The name that tokenizer_config.json gives a special token, as a string or as an object with "content"; else BERT's
/// own.
std::string special_name(const Json& config, std::size_t number) {
    const auto found = config.find(special_keys[number].key);
    if (found != config.end() && found->is_string()) return found->get<std::string>();
    if (found != config.end() && found->is_object() && found->contains("content") && (*found)["content"].is_string()) {
        return (*found)["content"].get<std::string>();
    }
    return special_token_names()[number];
}

SpecialTokens find_specials(const Json& config, const TokenIds& ids, const fs::path& source) {
    SpecialTokens special;
    for (std::size_t i = 0; i < special_keys.size(); ++i) {
        const std::string name = special_name(config, i);
        const auto found = ids.find(name);
        if (found == ids.end()) {
            throw DataError(fmt::format("{}: the vocabulary has no \"{}\" ({}), which masked-language modelling needs",
                                        source.string(), name, special_keys[i].key));
        }
        special.*special_keys[i].id = found->second;
    }
    return special;
}

// ---- vocab.txt ----

void check_utf8(std::string_view line, const fs::path& path, std::size_t number) {
    const std::size_t valid = first_invalid_utf8(line);
    if (valid == line.size()) return;
    throw DataError(
        fmt::format("{}:{}: invalid UTF-8 at byte {} of the line; a vocabulary is UTF-8 text, one token per line",
                    path.string(), number, valid + 1));
}

std::vector<std::string> vocabulary_lines(std::string_view text) {
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    std::vector<std::string> lines;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        std::string_view line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (line.ends_with('\r')) line.remove_suffix(1);
        lines.emplace_back(line);
    }
    while (!lines.empty() && lines.back().empty()) lines.pop_back();
    return lines;
}

std::vector<std::string> read_vocabulary(const fs::path& path, TokenIds& ids) {
    std::vector<std::string> tokens = vocabulary_lines(read_file(path));
    if (tokens.empty()) throw DataError(fmt::format("{}: the vocabulary is empty", path.string()));
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        if (tokens[i].empty()) {
            throw DataError(fmt::format(
                "{}:{}: an empty line; a token's id is the number of its line, so that lines cannot be skipped",
                path.string(), i + 1));
        }
        check_utf8(tokens[i], path, i + 1);
        const auto [place, is_new] = ids.emplace(tokens[i], static_cast<std::int32_t>(i));
        if (!is_new) {
            throw DataError(
                fmt::format("{}:{}: \"{}\" is already on line {}; each token may stand in the vocabulary once",
                            path.string(), i + 1, tokens[i], place->second + 1));
        }
    }
    return tokens;
}

// ---- tokenizer_config.json ----

std::string string_or(const Json& object, const char* key, const std::string& otherwise) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : otherwise;
}

/// A boolean; `otherwise` where the key is absent or null. Throws DataError for anything else.
bool bool_or(const Json& object, const char* key, bool otherwise, const fs::path& path) {
    const auto found = object.find(key);
    if (found == object.end() || found->is_null()) return otherwise;
    if (!found->is_boolean()) {
        throw DataError(fmt::format("{}: \"{}\" is {}, it should be true or false", path.string(), key, found->dump()));
    }
    return found->get<bool>();
}

bool is_bert_class(std::string name) {
    if (name.ends_with("Fast")) name.resize(name.size() - 4);
    for (const char* known :
         {"BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MobileBertTokenizer", "ConvBertTokenizer"}) {
        if (name == known) return true;
    }
    return false;
}

/// transformers' defaults stand in for absent keys: lower case, and accents stripped where the text is lower-cased.
Normalisation rules_of_config(const Json& config, const fs::path& path) {
    if (!bool_or(config, "do_basic_tokenize", true, path)) {
        throw DataError(fmt::format("{}: do_basic_tokenize: false is not supported", path.string()));
    }
    if (config.contains("never_split") && !config["never_split"].is_null() && !config["never_split"].empty()) {
        throw DataError(fmt::format("{}: never_split is not supported", path.string()));
    }
    Normalisation rules;
    rules.lowercase = bool_or(config, "do_lower_case", true, path);
    rules.strip_accents = bool_or(config, "strip_accents", rules.lowercase, path);
    rules.split_chinese = bool_or(config, "tokenize_chinese_chars", true, path);
    return rules;
}

TokenizerDescription read_vocab_and_config(const fs::path& folder) {
    const fs::path vocab = folder / "vocab.txt", config_path = folder / "tokenizer_config.json";
    if (!fs::exists(config_path)) {
        throw DataError(
            fmt::format("{}: missing; vocab.txt alone does not say whether its words are lower case "
                        "(do_lower_case), nor whether accents are stripped (strip_accents)",
                        config_path.string()));
    }
    const Json config = read_json(config_path);
    const std::string name = string_or(config, "tokenizer_class", "BertTokenizer");
    if (!is_bert_class(name)) {
        throw DataError(
            fmt::format("{}: tokenizer_class is {}; a folder with vocab.txt and no tokenizer.json must be BERT's "
                        "(BertTokenizer)",
                        config_path.string(), name));
    }
    TokenizerDescription description;
    TokenIds ids;
    description.tokens = read_vocabulary(vocab, ids);
    description.rules = rules_of_config(config, config_path);
    description.special = find_specials(config, ids, vocab);
    return description;
}

// ---- tokenizer.json ----

std::string type_of(const Json& parent, const char* key) {
    const auto found = parent.find(key);
    return found == parent.end() || !found->is_object() ? "none" : string_or(*found, "type", "unnamed");
}

std::optional<TokenizerKind> kind_of(const Json& file) {
    const std::string model = type_of(file, "model"), words = type_of(file, "pre_tokenizer"),
                      normalizer = type_of(file, "normalizer");
    if (model == "WordPiece" && words == "BertPreTokenizer" && normalizer == "BertNormalizer" &&
        string_or(file["model"], "continuing_subword_prefix", "") == "##") {
        return TokenizerKind::wordpiece;
    }
    if (model == "WordLevel" && words == "Split" && (normalizer == "none" || normalizer == "BertNormalizer") &&
        file["pre_tokenizer"].value("pattern", Json()) == Json{{"Regex", "[\\s\\S]"}} &&
        string_or(file["pre_tokenizer"], "behavior", "") == "Isolated") {
        return TokenizerKind::characters;
    }
    if (model == "BPE" && words == "ByteLevel" && normalizer == "none" && file["model"].contains("merges") &&
        file["model"]["merges"].empty() && !file["pre_tokenizer"].value("use_regex", true) &&
        !file["pre_tokenizer"].value("add_prefix_space", true)) {
        return TokenizerKind::bytes;
    }
    return std::nullopt;
}

std::vector<std::string> tokens_by_id(const Json& vocabulary, const fs::path& path, TokenIds& ids) {
    if (!vocabulary.is_object() || vocabulary.empty())
        throw DataError(fmt::format("{}: model.vocab is empty", path.string()));
    std::vector<std::string> tokens(vocabulary.size());
    std::vector<bool> taken(vocabulary.size(), false);
    for (const auto& [token, id] : vocabulary.items()) {
        if (!id.is_number_integer() || id < 0 || id >= tokens.size() || taken[id.get<std::size_t>()]) {
            throw DataError(
                fmt::format("{}: model.vocab gives \"{}\" the id {}; the ids of {} tokens must be 0 to {}, each once",
                            path.string(), token, id.dump(), tokens.size(), tokens.size() - 1));
        }
        const auto at = id.get<std::size_t>();
        taken[at] = true;
        tokens[at] = token;
        ids.emplace(token, static_cast<std::int32_t>(at));
    }
    return tokens;
}

/// Added tokens change how text is encoded; only the five special ones are understood here.
void check_added_tokens(const Json& file, const TokenizerDescription& description, const fs::path& path) {
    const auto added = file.find("added_tokens");
    if (added == file.end() || added->is_null()) return;
    for (const Json& token : *added) {
        const std::string content = string_or(token, "content", "");
        bool known = false;
        for (const SpecialKey& key : special_keys) {
            const std::int32_t id = description.special.*key.id;
            known =
                known || (description.tokens[static_cast<std::size_t>(id)] == content && token.value("id", -1) == id);
        }
        if (!known) {
            throw DataError(
                fmt::format("{}: added token \"{}\" is not supported: only the padding, unknown, [CLS], [SEP] and "
                            "[MASK] tokens may be added tokens",
                            path.string(), content));
        }
    }
}

Normalisation rules_of_json(const Json& file, TokenizerKind kind, const fs::path& path) {
    const auto found = file.find("normalizer");
    if (kind == TokenizerKind::bytes || found == file.end() || found->is_null()) return {false, false, false, false};
    Normalisation rules;
    rules.clean_text = bool_or(*found, "clean_text", true, path);
    rules.split_chinese = bool_or(*found, "handle_chinese_chars", true, path);
    rules.lowercase = bool_or(*found, "lowercase", true, path);
    rules.strip_accents = bool_or(*found, "strip_accents", rules.lowercase, path);
    return rules;
}

TokenizerDescription read_tokenizer_json(const fs::path& folder) {
    const fs::path path = folder / "tokenizer.json", config_path = folder / "tokenizer_config.json";
    const Json file = read_json(path);
    const std::optional<TokenizerKind> kind = file.is_object() ? kind_of(file) : std::nullopt;
    if (!kind.has_value()) {
        throw DataError(fmt::format(
            "{}: a tokenizer of another kind (model {}, pre-tokenizer {}, normalizer {}); supported are BERT's "
            "(WordPiece with \"##\", "
            "BertPreTokenizer, BertNormalizer) and the character and byte tokenizers that Locus writes",
            path.string(), type_of(file, "model"), type_of(file, "pre_tokenizer"), type_of(file, "normalizer")));
    }
    const Json config = fs::exists(config_path) ? read_json(config_path) : Json::object();
    TokenizerDescription description;
    description.kind = *kind;
    TokenIds ids;
    description.tokens = tokens_by_id(file["model"].value("vocab", Json()), path, ids);
    description.rules = rules_of_json(file, *kind, path);
    if (*kind == TokenizerKind::wordpiece) {
        const bool clean_text = description.rules.clean_text;
        if (is_bert_class(string_or(config, "tokenizer_class", "")))
            description.rules = rules_of_config(config, config_path);
        description.rules.clean_text = clean_text;
        description.longest_word = file["model"].value("max_input_chars_per_word", description.longest_word);
        if (description.longest_word < 1) {
            throw DataError(fmt::format("{}: max_input_chars_per_word is {}, it should be at least 1", path.string(),
                                        description.longest_word));
        }
    }
    description.special = find_specials(config, ids, path);
    check_added_tokens(file, description, path);
    return description;
}

}  // namespace

const std::vector<std::string>& special_token_names() {
    static const std::vector<std::string> names{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    return names;
}

TokenizerDescription read_tokenizer_files(const fs::path& folder) {
    if (!fs::is_directory(folder)) throw DataError(fmt::format("{}: no such tokenizer folder", folder.string()));
    if (fs::exists(folder / "tokenizer.json")) {
        try {
            return read_tokenizer_json(folder);
        } catch (const Json::type_error& error) {  // a value of another type than the format has there
            throw DataError(fmt::format("{}: {}", (folder / "tokenizer.json").string(), error.what()));
        }
    }
    if (fs::exists(folder / "vocab.txt")) return read_vocab_and_config(folder);
    std::string found;
    for (const char* other : {"vocab.json", "merges.txt", "spm.model", "spiece.model", "sentencepiece.bpe.model"}) {
        if (fs::exists(folder / other)) found += fmt::format("; {} belongs to another kind of tokenizer", other);
    }
    throw DataError(fmt::format("{}: neither tokenizer.json nor vocab.txt is there{}", folder.string(), found));
}

std::uint64_t fingerprint_of(const TokenizerDescription& description) {
    Fingerprint hash;
    hash.add_number(static_cast<std::uint64_t>(description.kind));
    for (const SpecialKey& key : special_keys) hash.add_number(static_cast<std::uint64_t>(description.special.*key.id));
    const Normalisation& rules = description.rules;
    for (const bool flag : {rules.clean_text, rules.split_chinese, rules.strip_accents, rules.lowercase}) {
        hash.add_number(flag ? 1 : 0);
    }
    hash.add_number(static_cast<std::uint64_t>(description.longest_word));
    for (const std::string& token : description.tokens) hash.add_text(token);
    return hash.value();
}

}  // namespace locus
