#pragma once
// A tokenizer as plain data, and the files of a tokenizer folder, which transformers' AutoTokenizer reads too.
//
//   vocab.txt              one token per line, split at LF alone; a CR before it, a byte-order mark and empty lines
//                          at the very end are dropped
//   tokenizer.json         the whole tokenizer for Hugging Face's `tokenizers` library
//   tokenizer_config.json  class, names of the special tokens, normalisation
//
// For BERT classes tokenizer_config.json decides about the normalisation, as in transformers; without it,
// tokenizer.json does.

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/basic_tokenizer.h"
#include "data/tokenizer.h"

namespace locus {

enum class TokenizerKind { wordpiece, characters, bytes };

/// Everything that decides what a tokenizer does.
struct TokenizerDescription {
    TokenizerKind kind = TokenizerKind::wordpiece;
    std::vector<std::string> tokens;  // by id
    SpecialTokens special;
    Normalisation rules;              // characters: lowercase and strip_accents only; bytes: none
    std::int64_t longest_word = 100;  // characters; longer words are [UNK] (wordpiece)
};

/// Where tokenizer_config.json has the name of a special token, and where we have its id.
struct SpecialKey {
    const char* key;  // of tokenizer_config.json
    std::int32_t SpecialTokens::*id;
};

constexpr std::array<SpecialKey, 5> special_keys{{{"pad_token", &SpecialTokens::pad},
                                                  {"unk_token", &SpecialTokens::unknown},
                                                  {"cls_token", &SpecialTokens::cls},
                                                  {"sep_token", &SpecialTokens::sep},
                                                  {"mask_token", &SpecialTokens::mask}}};

/// The names of our own special tokens, ids 0..4, in the order of special_keys.
const std::vector<std::string>& special_token_names();

/// Throws DataError naming the file, the line or token, and what is wrong.
TokenizerDescription read_tokenizer_files(const std::filesystem::path& folder);

/// Writes the three files into `folder`, which is made if need be. Throws std::system_error.
void write_tokenizer_files(const TokenizerDescription& description, const std::filesystem::path& folder);

/// A hash of everything in the description.
std::uint64_t fingerprint_of(const TokenizerDescription& description);

/// The tokenizer that a description describes. Throws DataError for a vocabulary that does not suit its kind.
std::unique_ptr<Tokenizer> make_tokenizer(TokenizerDescription description);

}  // namespace locus
