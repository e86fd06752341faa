#pragma once
// A tokenizer for tests of what comes after it: words at spaces, pieces of four bytes, ids by hash.

#include <cstdint>
#include <string>

#include "data/fingerprint.h"
#include "data/tokenizer.h"

namespace locus {

/// Ids 0..4 are special, 5 .. half - 1 begin words, half .. vocab_size - 1 continue them.
class FakeTokenizer : public Tokenizer {
public:
    explicit FakeTokenizer(std::int32_t vocab_size = 1000, bool continues = true)
        : vocab_size_(vocab_size), half_(continues ? vocab_size / 2 : vocab_size) {}

    void encode(std::string_view text, std::vector<std::int32_t>& ids) const override {
        while (!text.empty()) {
            const std::size_t end = std::min(text.find(' '), text.size());
            std::string_view word = text.substr(0, end);
            text.remove_prefix(std::min(end + 1, text.size()));
            for (bool first = true; !word.empty(); first = false) {
                const std::string_view piece = word.substr(0, half_ == vocab_size_ ? word.size() : 4);
                word.remove_prefix(piece.size());
                const std::int32_t low = first ? 5 : half_, high = first ? half_ : vocab_size_;
                ids.push_back(low + static_cast<std::int32_t>(locus::fingerprint(piece) %
                                                              static_cast<std::uint64_t>(high - low)));
            }
        }
    }
    std::string decode(std::span<const std::int32_t>) const override { return ""; }
    std::int32_t vocab_size() const override { return vocab_size_; }
    std::string token(std::int32_t id) const override { return (id >= half_ ? "##" : "") + std::to_string(id); }
    bool continues_word(std::int32_t id) const override { return id >= half_; }
    const SpecialTokens& special() const override { return special_; }
    void save(const std::filesystem::path&) const override {}
    std::uint64_t fingerprint() const override {
        return locus::fingerprint(std::to_string(vocab_size_) + (half_ == vocab_size_ ? "" : "##"));
    }

private:
    std::int32_t vocab_size_, half_;
    SpecialTokens special_;
};

}  // namespace locus
