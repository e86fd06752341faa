#pragma once
// Text in, token ids out. One interface for all tokenizers; ids 0..4 of our own vocabularies are [PAD] [UNK] [CLS]
// [SEP] [MASK].

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/settings.h"

namespace locus {

/// Ids of the tokens with a meaning of their own.
struct SpecialTokens {
    std::int32_t pad = 0, unknown = 1, cls = 2, sep = 3, mask = 4;
};

class Tokenizer {
public:
    virtual ~Tokenizer() = default;

    /// Appends the ids of `text` (valid UTF-8). Nothing is added around it, and "[MASK]" in the text is ordinary text.
    virtual void encode(std::string_view text, std::vector<std::int32_t>& ids) const = 0;
    /// The text of ids, as Hugging Face's decode() gives it without cleaning up spaces: word pieces joined, a space
    /// before each other token (also before punctuation), special tokens written out.
    virtual std::string decode(std::span<const std::int32_t> ids) const = 0;

    virtual std::int32_t vocab_size() const = 0;
    /// The vocabulary entry, such as "##ing".
    virtual std::string token(std::int32_t id) const = 0;
    /// True when the token continues the word of the token before it (whole-word masking).
    virtual bool continues_word(std::int32_t id) const = 0;
    virtual const SpecialTokens& special() const = 0;

    /// Writes vocab.txt, tokenizer.json and tokenizer_config.json, which transformers' AutoTokenizer loads.
    virtual void save(const std::filesystem::path& folder) const = 0;
    /// A hash of everything that decides encode(): part of the key of the token shards.
    virtual std::uint64_t fingerprint() const = 0;

    bool is_special(std::int32_t id) const;
    /// As encode(), but special tokens written in the text ("a [MASK] store") become their ids.
    void encode_with_specials(std::string_view text, std::vector<std::int32_t>& ids) const;
};

/// Loads a tokenizer folder: tokenizer.json (ours or Hugging Face's BERT kind) or vocab.txt with tokenizer_config.json.
/// Throws DataError naming the file and what is wrong with it (missing [MASK], duplicate line, CRLF is accepted).
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& folder);

}  // namespace locus
