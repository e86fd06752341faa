#include "data/tokenizer.h"

#include <array>

#include "data/byte_tokenizer.h"
#include "data/character_tokenizer.h"
#include "data/tokenizer_files.h"
#include "data/wordpiece.h"

namespace locus {

bool Tokenizer::is_special(std::int32_t id) const {
    const SpecialTokens& s = special();
    return id == s.pad || id == s.unknown || id == s.cls || id == s.sep || id == s.mask;
}

void Tokenizer::encode_with_specials(std::string_view text, std::vector<std::int32_t>& ids) const {
    struct Name {
        std::int32_t id;
        std::string text;
        std::size_t next;  // where it comes next in the text, searched for only once past it: linear time
    };
    const SpecialTokens& s = special();
    std::array<Name, 5> names{Name{s.pad, token(s.pad), 0}, Name{s.unknown, token(s.unknown), 0},
                              Name{s.cls, token(s.cls), 0}, Name{s.sep, token(s.sep), 0},
                              Name{s.mask, token(s.mask), 0}};
    for (Name& name : names) name.next = text.find(name.text);
    std::size_t at = 0;
    for (;;) {
        const Name* first = nullptr;
        for (Name& name : names) {
            if (name.next != std::string_view::npos && name.next < at) name.next = text.find(name.text, at);
            if (name.next == std::string_view::npos) continue;
            if (first == nullptr || name.next < first->next ||
                (name.next == first->next && name.text.size() > first->text.size())) {
                first = &name;
            }
        }
        if (first == nullptr) break;
        encode(text.substr(at, first->next - at), ids);
        ids.push_back(first->id);
        at = first->next + first->text.size();
    }
    encode(text.substr(at), ids);
}

std::unique_ptr<Tokenizer> make_tokenizer(TokenizerDescription description) {
    switch (description.kind) {
        case TokenizerKind::characters: return make_character_tokenizer(std::move(description));
        case TokenizerKind::bytes: return make_byte_tokenizer(std::move(description));
        case TokenizerKind::wordpiece: break;
    }
    return make_wordpiece_tokenizer(std::move(description));
}

std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& folder) {
    return make_tokenizer(read_tokenizer_files(folder));
}

}  // namespace locus
