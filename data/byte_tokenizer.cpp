#include "data/byte_tokenizer.h"

#include <fmt/format.h>

#include <array>
#include <unordered_map>

#include "data/basic_tokenizer.h"
#include "data/error.h"
#include "data/utf8.h"
#include "data/vocabulary.h"

namespace locus {
namespace {

std::vector<std::string> make_symbols() {
    std::vector<std::string> symbols(256);
    char32_t substitute = 0x100;
    for (char32_t byte = 0; byte < 256; ++byte) {
        const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
        append_utf8(symbols[byte], printable ? byte : substitute++);
    }
    return symbols;
}

bool is_continuation_byte(unsigned char byte) { return (byte & 0xC0U) == 0x80U; }

class ByteTokenizer final : public VocabularyTokenizer {
public:
    explicit ByteTokenizer(TokenizerDescription description) : VocabularyTokenizer(std::move(description)) {
        std::unordered_map<std::string, std::int32_t> id_of;
        for (std::int32_t id = 0; id < vocab_size(); ++id) id_of.emplace(entry(id), id);
        byte_of_.assign(static_cast<std::size_t>(vocab_size()), -1);
        for (std::size_t byte = 0; byte < 256; ++byte) {
            const auto found = id_of.find(byte_symbols()[byte]);
            if (found == id_of.end()) {
                throw DataError(
                    fmt::format("the byte vocabulary has no token \"{}\" (byte {:#04x})", byte_symbols()[byte], byte));
            }
            id_of_[byte] = found->second;
            byte_of_[static_cast<std::size_t>(found->second)] = static_cast<int>(byte);
        }
        if (vocab_size() != 256 + 5) {
            throw DataError(
                fmt::format("a byte vocabulary has 261 tokens (5 special, 256 bytes), this one {}", vocab_size()));
        }
    }

    void encode(std::string_view text, std::vector<std::int32_t>& ids) const override {
        const std::size_t valid = first_invalid_utf8(text);
        if (valid < text.size()) throw DataError(fmt::format("invalid UTF-8 at byte {} of the text", valid));
        for (const char c : text) ids.push_back(id_of_[static_cast<unsigned char>(c)]);
    }

    /// Bytes that do not make characters become U+FFFD.
    std::string decode(std::span<const std::int32_t> ids) const override {
        std::string bytes;
        for (const std::int32_t id : ids) {
            const std::string& name = entry(id);
            const int byte = byte_of_[static_cast<std::size_t>(id)];
            if (byte >= 0) {
                bytes.push_back(static_cast<char>(byte));
            } else {
                bytes += name;
            }
        }
        std::string text;
        append_replacing_invalid_utf8(bytes, text);
        return text;
    }

    bool continues_word(std::int32_t id) const override {
        entry(id);
        const int byte = byte_of_[static_cast<std::size_t>(id)];
        return byte >= 0 && is_continuation_byte(static_cast<unsigned char>(byte));
    }

private:
    std::array<std::int32_t, 256> id_of_{};
    std::vector<int> byte_of_;  // by id; -1: special
};

}  // namespace

const std::vector<std::string>& byte_symbols() {
    static const std::vector<std::string> symbols = make_symbols();
    return symbols;
}

TokenizerDescription byte_tokenizer_description() {
    TokenizerDescription description;
    description.kind = TokenizerKind::bytes;
    description.tokens = special_token_names();
    description.tokens.insert(description.tokens.end(), byte_symbols().begin(), byte_symbols().end());
    description.rules = {false, false, false, false};
    return description;
}

std::unique_ptr<Tokenizer> make_byte_tokenizer(TokenizerDescription description) {
    return std::make_unique<ByteTokenizer>(std::move(description));
}

}  // namespace locus
