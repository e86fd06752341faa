#pragma once
// What the tokenizers share: a vocabulary with special tokens, which can be saved.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "data/tokenizer.h"
#include "data/tokenizer_files.h"

namespace locus {

/// True for "##x": a piece that continues a word.
inline bool is_continuation(std::string_view piece) { return piece.size() > 2 && piece.starts_with("##"); }

class VocabularyTokenizer : public Tokenizer {
public:
    explicit VocabularyTokenizer(TokenizerDescription description);

    std::int32_t vocab_size() const override;
    std::string token(std::int32_t id) const override;
    const SpecialTokens& special() const override;
    void save(const std::filesystem::path& folder) const override;
    std::uint64_t fingerprint() const override;

protected:
    /// Throws std::out_of_range for an id outside the vocabulary.
    const std::string& entry(std::int32_t id) const;

    const TokenizerDescription description_;
};

}  // namespace locus
