#pragma once
// What the tokenizer tests share: ids of texts, small vocabularies, fixtures.

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "data/error.h"
#include "data/tokenizer.h"
#include "data/tokenizer_files.h"
#include "tests/data/files.h"

namespace locus {

inline std::vector<std::int32_t> encoded(const Tokenizer& tokenizer, std::string_view text) {
    std::vector<std::int32_t> ids;
    tokenizer.encode(text, ids);
    return ids;
}

inline std::vector<std::int32_t> encoded_with_specials(const Tokenizer& tokenizer, std::string_view text) {
    std::vector<std::int32_t> ids;
    tokenizer.encode_with_specials(text, ids);
    return ids;
}

/// The tokens of a text, one space between them.
inline std::string pieces_of(const Tokenizer& tokenizer, std::string_view text) {
    std::string pieces;
    for (const std::int32_t id : encoded(tokenizer, text)) {
        if (!pieces.empty()) pieces += ' ';
        pieces += tokenizer.token(id);
    }
    return pieces;
}

inline TokenizerDescription describe(const std::vector<std::string>& ordinary, Normalisation rules = {}) {
    TokenizerDescription description;
    description.tokens = special_token_names();
    description.tokens.insert(description.tokens.end(), ordinary.begin(), ordinary.end());
    description.rules = rules;
    return description;
}

inline nlohmann::json fixture(const std::string& name) {
    std::ifstream file(std::filesystem::path(LOCUS_SOURCE_DIR) / "tests" / "fixtures" / "tokenizer" / name);
    return nlohmann::json::parse(file);
}

}  // namespace locus
