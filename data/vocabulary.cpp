#include "data/vocabulary.h"

#include <fmt/format.h>

#include <stdexcept>

namespace locus {

VocabularyTokenizer::VocabularyTokenizer(TokenizerDescription description) : description_(std::move(description)) {}

std::int32_t VocabularyTokenizer::vocab_size() const { return static_cast<std::int32_t>(description_.tokens.size()); }

const std::string& VocabularyTokenizer::entry(std::int32_t id) const {
    if (id < 0 || id >= vocab_size()) {
        throw std::out_of_range(
            fmt::format("token id {} is outside the vocabulary, whose ids are 0 to {}", id, vocab_size() - 1));
    }
    return description_.tokens[static_cast<std::size_t>(id)];
}

std::string VocabularyTokenizer::token(std::int32_t id) const { return entry(id); }

const SpecialTokens& VocabularyTokenizer::special() const { return description_.special; }

void VocabularyTokenizer::save(const std::filesystem::path& folder) const {
    write_tokenizer_files(description_, folder);
}

std::uint64_t VocabularyTokenizer::fingerprint() const { return fingerprint_of(description_); }

}  // namespace locus
