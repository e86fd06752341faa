#include "data/character_tokenizer.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <unordered_map>

#include "data/basic_tokenizer.h"
#include "data/error.h"
#include "data/vocabulary.h"

namespace locus {
namespace {

class CharacterTokenizer final : public VocabularyTokenizer {
public:
    explicit CharacterTokenizer(TokenizerDescription description) : VocabularyTokenizer(std::move(description)) {
        for (std::int32_t id = 0; id < vocab_size(); ++id) {
            if (is_special(id)) continue;
            const std::string& name = entry(id);
            const CodePoint point = code_point_at(name, 0);
            if (point.length == 0 || static_cast<std::size_t>(point.length) != name.size()) {
                throw DataError(
                    fmt::format("the character vocabulary holds \"{}\" (id {}), which is not one character", name, id));
            }
            id_of_.emplace(point.value, id);
        }
    }

    void encode(std::string_view text, std::vector<std::int32_t>& ids) const override {
        normalise_characters(text, description_.rules, [&](char32_t c) {
            const auto found = id_of_.find(c);
            ids.push_back(found == id_of_.end() ? description_.special.unknown : found->second);
        });
    }

    std::string decode(std::span<const std::int32_t> ids) const override {
        std::string text;
        for (const std::int32_t id : ids) text += entry(id);
        return text;
    }

    /// A combining mark belongs to the character before it.
    bool continues_word(std::int32_t id) const override {
        const std::string& name = entry(id);
        if (is_special(id)) return false;
        const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code_point_at(name, 0).value));
        return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC || category == UTF8PROC_CATEGORY_ME;
    }

private:
    std::unordered_map<char32_t, std::int32_t> id_of_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_character_tokenizer(TokenizerDescription description) {
    return std::make_unique<CharacterTokenizer>(std::move(description));
}

}  // namespace locus
